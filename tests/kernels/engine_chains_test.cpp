// What the kernels of other engines make of a head, in fp32 step by step, against launches of specs that are rounded as
// these engines. r, cos and sin are given to both.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "launch/generic_variant.hpp"
#include "ropejit/presets.hpp"
#include "spec/lower.hpp"
#include "support/check_case.hpp"
#include "support/direct_launch.hpp"
#include "support/norm_rules.hpp"

namespace {

using namespace ropejit;
using test::Bits;
using test::DirectCase;
using test::rounded;

constexpr std::int64_t kTokens = 24;
constexpr double kScale = 0.08838834764831845;

/// How an engine's kernels take a lane x of q through bias, norm and scale.
struct Chain {
  Engine engine;
  float (*biased)(DType dtype, float x, float bias);
  float (*normed)(DType dtype, float x, float r, float w);
  float (*scaled)(DType dtype, float turned, float scale);
};

float kept_bias(DType, float x, float bias) { return x + bias; }
float stored_bias(DType dtype, float x, float bias) { return rounded(dtype, x + bias); }
float x_by_r(DType, float x, float r, float w) { return (x * r) * w; }
float r_by_w(DType, float x, float r, float w) { return x * (r * w); }
float stored_norm(DType dtype, float x, float r, float w) { return rounded(dtype, (x * r) * w); }
float kept_turn(DType, float turned, float scale) { return turned * scale; }
float stored_turn(DType dtype, float turned, float scale) { return rounded(dtype, turned) * scale; }

const Chain kChains[] = {
    {Engine::exact, kept_bias, x_by_r, kept_turn},
    {Engine::vllm_fused, stored_bias, r_by_w, stored_turn},
    {Engine::vllm, stored_bias, stored_norm, stored_turn},
    {Engine::flashinfer, stored_bias, stored_norm, stored_turn},
    {Engine::tensorrt_llm, stored_bias, r_by_w, stored_turn},
    {Engine::aiter, stored_bias, stored_norm, stored_turn},
};

struct Row {
  DType dtype;
  Layout layout;
  DType table;
  std::int64_t rotary_dim;
};
const Row kRows[] = {
    {DType::bf16, Layout::split_half, DType::fp32, 64},
    {DType::bf16, Layout::interleaved, DType::bf16, 32},
    {DType::fp16, Layout::split_half, DType::fp16, 32},
    {DType::fp16, Layout::interleaved, DType::fp32, 64},
};

/// q goes through a bias, the norm, the rotation and a scale; k through the norm and the rotation. Where lanes do not
/// rotate q has no scale: RoundAfter::rotation is of those that do, and a kernel stores all.
DirectCase sample(const Row& row) {
  DirectCase given;
  given.spec.dtype = row.dtype;
  given.spec.layout = row.layout;
  given.spec.rotary_dim = row.rotary_dim;
  given.spec.q = Operand{4, 64, 0};
  given.spec.k = Operand{2, 64, 0};
  given.spec.q.norm = given.spec.k->norm = Norm{};
  given.spec.q.norm->statistic = given.spec.k->norm->statistic = Statistic::given;
  given.spec.q.bias = true;
  if (row.rotary_dim == given.spec.q.head_dim) {
    given.spec.q.scale = kScale;
    given.spec.q.order = {StageName::bias, StageName::norm, StageName::rotate, StageName::scale};
  }
  given.form = LaunchForm::out_of_place_ids().with_table(AngleSource::half, row.table);
  std::mt19937_64 random(1901);
  for (std::int64_t token = 0; token < kTokens; ++token) given.positions.push_back((7 * token) % kTokens);
  test::fill_direct(random, given, 2);
  given.q_r = test::random_elements(random, DType::fp32, kTokens * given.spec.q.heads, 0.1, 0.5);
  given.k_r = test::random_elements(random, DType::fp32, kTokens * given.spec.k->heads, 0.1, 0.5);
  std::vector<double> cos;
  std::vector<double> sin;
  for (std::int64_t position = 0; position < kTokens; ++position) {
    for (std::int64_t i = 0; i < row.rotary_dim / 2; ++i) {
      const double angle = static_cast<double>(position) * std::pow(1e4, -2.0 * static_cast<double>(i) / 64);
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
  }
  given.cos = test::encoded(row.table, cos);
  given.sin = test::encoded(row.table, sin);
  return given;
}

std::vector<float> floats(DType dtype, const Bits& bits) {
  const std::vector<double> numbers = test::decoded(dtype, bits);
  return {numbers.begin(), numbers.end()};
}

/// What the chain stores of q, or of k.
Bits chained(const Chain& chain, const DirectCase& given, bool of_k) {
  const RopeSpec& spec = given.spec;
  const Operand& operand = of_k ? *spec.k : spec.q;
  const auto dim = static_cast<std::size_t>(operand.head_dim);
  const auto heads = static_cast<std::size_t>(operand.heads);
  const auto pairs = static_cast<std::size_t>(spec.rotary_dim / 2);
  const std::vector<float> in = floats(spec.dtype, of_k ? given.k : given.q);
  const std::vector<float> weight = floats(spec.dtype, of_k ? given.k_weight : given.q_weight);
  const std::vector<float> bias = floats(spec.dtype, of_k ? given.k_bias : given.q_bias);
  const std::vector<float> r = floats(DType::fp32, of_k ? given.k_r : given.q_r);
  const std::vector<float> cos = floats(given.form.table_dtype, given.cos);
  const std::vector<float> sin = floats(given.form.table_dtype, given.sin);
  std::vector<double> out;
  for (std::size_t row = 0; row < in.size() / dim; ++row) {
    std::vector<float> lane(dim);
    for (std::size_t i = 0; i < dim; ++i) {
      float x = in[row * dim + i];
      if (operand.bias) x = chain.biased(spec.dtype, x, bias[row % heads * dim + i]);
      lane[i] = chain.normed(spec.dtype, x, r[row], weight[i]);
    }
    const auto position = static_cast<std::size_t>(given.positions[row / heads]);
    for (std::size_t i = 0; i < pairs; ++i) {
      float& x = lane[spec.layout == Layout::interleaved ? 2 * i : i];
      float& y = lane[spec.layout == Layout::interleaved ? 2 * i + 1 : i + pairs];
      const float c = cos[position * pairs + i];
      const float s = sin[position * pairs + i];
      // x c - y s and y c + x s, as compilers contract them for a GPU.
      const float first = std::fma(x, c, -(y * s));
      const float second = std::fma(y, c, x * s);
      x = first;
      y = second;
    }
    for (const float value : lane) {
      out.push_back(operand.scale ? chain.scaled(spec.dtype, value, static_cast<float>(*operand.scale)) : value);
    }
  }
  return test::encoded(spec.dtype, out);
}

std::int64_t differing(const Bits& a, const Bits& b) {
  REQUIRE(a.size() == b.size());
  std::int64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += a[i] != b[i] ? 1 : 0;
  return count;
}

/// Kernels by class: presets share binaries where they round alike.
class Launches {
 public:
  explicit Launches(test::TargetPtr target) : target_(std::move(target)) {}

  /// By the default variant, and by the generic kernel, which must agree.
  test::DirectResult result(const DirectCase& given) {
    const internal::RotationPlan plan = internal::lower(given.spec, given.form);
    const std::string text = plan.kernel_class.text();
    if (kernels_.find(text) == kernels_.end()) kernels_.emplace(text, test::prepare_one(target_, plan, false));
    const auto generic = internal::generic_variant(*target_, plan);
    REQUIRE(generic);
    test::DirectResult result = test::launch_direct(kernels_.at(text), given);
    CHECK(test::launch_direct(test::kernel_of(target_, plan, *generic, *generic), given) == result);
    return result;
  }

 private:
  test::TargetPtr target_;
  std::map<std::string, internal::PreparedKernel> kernels_;
};

}  // namespace

TEST_CASE("With an engine's r, cos and sin, specs that are rounded as its kernels have the bits of their chain",
          "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    Launches launches(target);
    std::int64_t elements = 0;
    std::int64_t moved = 0;
    for (const Row& row : kRows) {
      for (const Chain& chain : kChains) {
        DirectCase given = sample(row);
        given.spec = rounded_as(given.spec, chain.engine);
        INFO(target->name() << " " << to_string(chain.engine) << " " << given.spec.to_string());
        const test::DirectResult ours = launches.result(given);
        // vLLM's and TensorRT-LLM's fused kernels multiply r by w first, and ropejit x by r.
        const bool multiplies_first = chain.normed == r_by_w;
        Chain as_ropejit = chain;
        if (multiplies_first) as_ropejit.normed = x_by_r;
        CHECK(differing(ours.q, chained(as_ropejit, given, false)) == 0);
        CHECK(differing(ours.k, chained(as_ropejit, given, true)) == 0);
        if (!multiplies_first) continue;
        elements += static_cast<std::int64_t>(ours.q.size() + ours.k.size());
        moved += differing(ours.q, chained(chain, given, false)) + differing(ours.k, chained(chain, given, true));
      }
    }
    INFO(moved << " of " << elements << " elements");
    CHECK(elements > 0);
    CHECK(1000 * moved <= elements);
    WARN(target->name() << ": where r is multiplied by w first, " << moved << " of " << elements
                        << " elements have other bits");
  }
}

TEST_CASE("The chains that store what they normed have other bits than those that keep it", "[numeric]") {
  for (const test::TargetPtr& target : test::targets()) {
    Launches launches(target);
    for (const Row& row : kRows) {
      DirectCase kept = sample(row);
      DirectCase stored = kept;
      kept.spec = rounded_as(kept.spec, Engine::vllm_fused);
      stored.spec = rounded_as(stored.spec, Engine::vllm);
      INFO(target->name() << " " << stored.spec.to_string());
      const Bits of_kept = launches.result(kept).k;
      const Bits of_stored = launches.result(stored).k;
      CHECK(20 * differing(of_kept, of_stored) > static_cast<std::int64_t>(of_kept.size()));
    }
  }
}
