// One kernel serves all layers whose spec and form are equal: weights, tables of cos and sin, caches and page tables
// are each launch's, also where the launches are captured together.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "launch/prepared_kernel.hpp"
#include "support/check_case.hpp"

namespace {

using namespace ropejit;

constexpr std::int64_t kTokens = 5;
constexpr std::int64_t kHeads = 2;  // of q; k and v have one
constexpr std::int64_t kDim = 8;
constexpr std::int64_t kRows = 4;   // of the table of cos and sin
constexpr std::int64_t kBlock = 2;  // places of a page
constexpr std::int64_t kPages = 4;
constexpr float kUntouched = 1234.5F;
const std::vector<std::int64_t> kPositions = {3, 1, 0, 2, 1};
const std::vector<std::int32_t> kRequests = {0, 1, 0, 1, 0};
const std::vector<std::int32_t> kPlaces = {0, 1, 1, 2, 2};

/// Memory of the device with what it was filled with.
template <class T>
class Filled {
 public:
  Filled(const internal::Target& target, std::vector<T> values) : target_(target), values_(std::move(values)) {
    buffer_ = target.allocate(values_.size() * sizeof(T));
    set(values_);
  }
  void set(const std::vector<T>& values) {
    values_ = values;
    target_.upload(buffer_.data(), values_.data(), values_.size() * sizeof(T));
  }
  std::vector<T> now() const {
    std::vector<T> values(values_.size());
    target_.download(values.data(), buffer_.data(), values.size() * sizeof(T));
    return values;
  }
  T* data() const { return static_cast<T*>(buffer_.data()); }
  const std::vector<T>& values() const { return values_; }

 private:
  const internal::Target& target_;
  std::vector<T> values_;
  internal::DeviceBuffer buffer_;
};

std::vector<float> random_floats(std::mt19937_64& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

/// All that is a layer's own.
struct Layer {
  Layer(const internal::Target& target, std::mt19937_64& random, std::vector<std::int32_t> table_of_pages)
      : q(target, random_floats(random, kTokens * kHeads * kDim)),
        k(target, random_floats(random, kTokens * kDim)),
        v(target, random_floats(random, kTokens * kDim)),
        q_out(target, std::vector<float>(kTokens * kHeads * kDim, kUntouched)),
        k_cache(target, std::vector<float>(kPages * kBlock * kDim, kUntouched)),
        v_cache(target, std::vector<float>(kPages * kBlock * kDim, kUntouched)),
        q_weight(target, random_floats(random, kDim)),
        k_weight(target, random_floats(random, kDim)),
        cos(target, random_floats(random, kRows * kDim / 2)),
        sin(target, random_floats(random, kRows * kDim / 2)),
        pages(target, std::move(table_of_pages)) {}

  Filled<float> q, k, v, q_out, k_cache, v_cache, q_weight, k_weight, cos, sin;
  Filled<std::int32_t> pages;  // [2, 2]
};

/// Lists that all layers share.
struct Lists {
  explicit Lists(const internal::Target& target)
      : positions(target, kPositions), requests(target, kRequests), places(target, kPlaces) {}
  Filled<std::int64_t> positions;
  Filled<std::int32_t> requests, places;
};

RopeArgs args_of(const Layer& layer, const Lists& lists) {
  RopeArgs args;
  args.tokens = kTokens;
  args.positions = Positions::ids64(lists.positions.data());
  args.table = {layer.cos.data(), layer.sin.data(), kRows};
  args.q.data = layer.q.data();
  args.k.data = layer.k.data();
  args.v.data = layer.v.data();
  args.q_out.data = layer.q_out.data();
  args.k_out.data = layer.k_cache.data();
  args.v_out.data = layer.v_cache.data();
  args.q_norm_weight = layer.q_weight.data();
  args.k_norm_weight = layer.k_weight.data();
  args.k_cache_rows = args.v_cache_rows = kPages * kBlock;
  args.k_block_size = args.v_block_size = kBlock;
  args.k_page_table = {layer.pages.data(), nullptr, nullptr, 2, 2};
  args.v_page_table = args.k_page_table;
  args.token_requests = lists.requests.data();
  args.token_places = lists.places.data();
  return args;
}

/// One head, normed and turned.
std::vector<double> made_of(const Layer& layer, const float* head, const std::vector<float>& weight,
                            std::size_t token) {
  double sum = 0;
  for (std::int64_t i = 0; i < kDim; ++i) sum += double{head[i]} * double{head[i]};
  const double r = 1 / std::sqrt(sum / kDim + 1e-6);
  std::vector<double> lanes;
  for (std::int64_t i = 0; i < kDim; ++i) lanes.push_back(head[i] * r * weight[static_cast<std::size_t>(i)]);
  std::vector<double> turned(lanes.size());
  for (std::size_t i = 0; i < kDim / 2; ++i) {
    const std::size_t at = static_cast<std::size_t>(kPositions[token]) * kDim / 2 + i;
    const double c = layer.cos.values()[at];
    const double s = layer.sin.values()[at];
    turned[i] = lanes[i] * c - lanes[i + kDim / 2] * s;
    turned[i + kDim / 2] = lanes[i + kDim / 2] * c + lanes[i] * s;
  }
  return turned;
}

void check_close(const std::vector<double>& wanted, const std::vector<float>& got, std::size_t first) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    INFO("lane " << i << ": " << got[first + i] << ", not " << wanted[i]);
    CHECK(std::fabs(double{got[first + i]} - wanted[i]) < 1e-5 * (1 + std::fabs(wanted[i])));
  }
}

/// `stale`: places that an earlier table of the layer named.
void check_layer(const Layer& layer, const std::vector<bool>& stale = std::vector<bool>(kPages * kBlock, false)) {
  const std::vector<float> q_out = layer.q_out.now();
  const std::vector<float> k_cache = layer.k_cache.now();
  const std::vector<float> v_cache = layer.v_cache.now();
  std::vector<bool> is_written = stale;
  for (std::size_t token = 0; token < kTokens; ++token) {
    for (std::size_t head = 0; head < kHeads; ++head) {
      const std::size_t first = (token * kHeads + head) * kDim;
      check_close(made_of(layer, &layer.q.values()[first], layer.q_weight.values(), token), q_out, first);
    }
    const auto entry = static_cast<std::size_t>(kRequests[token] * 2 + kPlaces[token] / kBlock);
    const auto slot = static_cast<std::size_t>(layer.pages.values()[entry] * kBlock + kPlaces[token] % kBlock);
    is_written[slot] = true;
    check_close(made_of(layer, &layer.k.values()[token * kDim], layer.k_weight.values(), token), k_cache, slot * kDim);
    for (std::size_t i = 0; i < kDim; ++i) CHECK(v_cache[slot * kDim + i] == layer.v.values()[token * kDim + i]);
  }
  for (std::size_t place = 0; place < kPages * kBlock; ++place) {
    if (is_written[place]) continue;
    for (std::size_t i = 0; i < kDim; ++i) {
      CHECK(k_cache[place * kDim + i] == kUntouched);
      CHECK(v_cache[place * kDim + i] == kUntouched);
    }
  }
}

}  // namespace

TEST_CASE("One kernel serves layers of other weights, caches and tables within one captured sequence of launches",
          "[numeric]") {
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = kDim;
  spec.q = {kHeads, kDim, 0};
  spec.k = Operand{1, kDim, 0};
  spec.v = Operand{1, kDim, 0};
  spec.q.norm = spec.k->norm = Norm{};
  LaunchForm form = LaunchForm::out_of_place_ids().with_table(AngleSource::half);
  form.k_rows = form.v_rows = CacheRows::block_table;
  form.token_requests = TokenRequests::ids32;
  form.token_places = TokenPlaces::ids32;
  for (const test::TargetPtr& target : test::targets()) {
    INFO(target->name());
    const internal::PreparedKernel kernel = test::prepare(target, internal::lower(spec, form));
    std::mt19937_64 random(5);
    std::vector<Layer> layers;
    layers.reserve(3);
    for (const std::vector<std::int32_t>& pages :
         {std::vector<std::int32_t>{0, 1, 2, 3}, std::vector<std::int32_t>{3, 0, 1, 2},
          std::vector<std::int32_t>{2, 3, 0, 1}}) {
      layers.emplace_back(*target, random, pages);
    }
    Lists lists(*target);
    const auto replay = target->capture(
        [&](void* stream, int i) {
          const RopeArgs args = args_of(layers[static_cast<std::size_t>(i)], lists);
          const LaunchStatus status = internal::launch_prepared(kernel, args, stream);
          INFO(status.message());
          REQUIRE(status);
        },
        3);
    replay->us();
    for (const Layer& layer : layers) check_layer(layer);
    // Another step: the graph is the same, and one layer's pages and inputs are others.
    std::vector<bool> stale(kPages * kBlock, true);
    layers[1].pages.set({1, 3, 0, 2});
    layers[1].k.set(random_floats(random, kTokens * kDim));
    replay->us();
    check_layer(layers[0]);
    check_layer(layers[1], stale);
    check_layer(layers[2]);
  }
}
