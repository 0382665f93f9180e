// Times every legal variant of some plans, the default choice among them, and copies of the same bytes, side by side
// on the same memory: how far the untuned default is from the best, and the best from a copy.
//
//     variant_sweep [--device cuda:0] [--out FILE.jsonl] [--tokens 1,16,...] [--quick]
//
// One JSON line a (plan, token count, variant) goes to FILE, a table to stdout.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "codegen/default_variant.hpp"
#include "codegen/generate.hpp"
#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "service/prepared_kernel.hpp"
#include "service/targets.hpp"
#include "spec/lower.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;

constexpr std::size_t kBeyondL2 = 384U << 20;
constexpr std::size_t kFitsL2 = 24U << 20;

struct Shape {
  std::string name;
  RopeSpec spec;
  LaunchForm form;
};

RopeSpec spec_of(Layout layout, DType dtype, std::int64_t rotary, std::int64_t q, std::int64_t k, std::int64_t dim) {
  RopeSpec spec;
  spec.layout = layout;
  spec.dtype = dtype;
  spec.rotary_dim = rotary;
  spec.q = {q, dim, 0};
  if (k > 0) spec.k = Operand{k, dim, 0};
  return spec;
}

std::vector<Shape> shapes() {
  const LaunchForm in_place = LaunchForm::in_place_ids();
  const LaunchForm out = LaunchForm::out_of_place_ids();
  return {
      {"32/8/128", spec_of(Layout::split_half, DType::bf16, 128, 32, 8, 128), in_place},
      {"32/8/128 interleaved", spec_of(Layout::interleaved, DType::bf16, 128, 32, 8, 128), in_place},
      {"32/8/128 out", spec_of(Layout::split_half, DType::bf16, 128, 32, 8, 128), out},
      {"71/1/64", spec_of(Layout::split_half, DType::bf16, 64, 71, 1, 64), in_place},
      {"16/2/256 r64", spec_of(Layout::split_half, DType::bf16, 64, 16, 2, 256), in_place},
      {"64/64/96 r24", spec_of(Layout::split_half, DType::fp16, 24, 64, 64, 96), in_place},
      {"8/8/64", spec_of(Layout::split_half, DType::bf16, 64, 8, 8, 64), in_place},
      {"1/0/4096 fp32 out", spec_of(Layout::interleaved, DType::fp32, 4096, 1, 0, 4096), out},
  };
}

/// Device memory for q, k and outputs, as many copies as keep the tensors out of the cache where they are large.
class Tensors {
 public:
  Tensors(const Target& target, const Shape& shape, std::int64_t tokens) : shape_(shape), tokens_(tokens) {
    const auto element = static_cast<std::size_t>(size_of(shape.spec.dtype));
    q_bytes_ = static_cast<std::size_t>(tokens * shape.spec.q.heads * shape.spec.q.head_dim) * element;
    if (shape.spec.k)
      k_bytes_ = static_cast<std::size_t>(tokens * shape.spec.k->heads * shape.spec.k->head_dim) * element;
    const bool out = shape.form.placement == Placement::out_of_place;
    set_bytes_ = (round(q_bytes_) + round(k_bytes_)) * (out ? 2 : 1);
    sets_ = set_bytes_ < kFitsL2 ? 1 : std::max<std::size_t>(2, kBeyondL2 / set_bytes_);
    memory_ = target.allocate(set_bytes_ * sets_);
    // Any bits will do for timing but zeros, which some memories move faster.
    std::vector<std::uint32_t> noise(set_bytes_ / 4);
    std::uint32_t state = 1;
    for (std::uint32_t& word : noise) {
      state = state * 1664525U + 1013904223U;
      word = 0x3f803f80U ^ (state & 0x007f007fU);
    }
    for (std::size_t i = 0; i < sets_; ++i) target.upload(base(static_cast<int>(i)), noise.data(), set_bytes_);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(tokens));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i);
    ids_ = target.allocate(ids.size() * 8);
    target.upload(ids_.data(), ids.data(), ids.size() * 8);
  }

  RopeArgs args(int launch) const {
    char* at = base(launch);
    RopeArgs args;
    args.tokens = tokens_;
    args.q.data = at;
    if (k_bytes_ != 0) args.k.data = at + round(q_bytes_);
    if (shape_.form.placement == Placement::out_of_place) {
      at += round(q_bytes_) + round(k_bytes_);
      args.q_out.data = at;
      if (k_bytes_ != 0) args.k_out.data = at + round(q_bytes_);
    }
    args.positions = Positions::ids64(static_cast<const std::int64_t*>(ids_.data()));
    return args;
  }
  char* base(int launch) const {
    return static_cast<char*>(memory_.data()) + static_cast<std::size_t>(launch) % sets_ * set_bytes_;
  }
  /// What a launch must read and write.
  std::size_t moved_bytes() const {
    const RopeSpec& spec = shape_.spec;
    const std::size_t all = 2 * (q_bytes_ + k_bytes_);
    if (shape_.form.placement == Placement::out_of_place) return all;
    return all * static_cast<std::size_t>(spec.rotary_dim) / static_cast<std::size_t>(spec.q.head_dim);
  }

 private:
  static std::size_t round(std::size_t bytes) { return (bytes + 255) / 256 * 256; }
  const Shape& shape_;
  std::int64_t tokens_;
  std::size_t q_bytes_ = 0;
  std::size_t k_bytes_ = 0;
  std::size_t set_bytes_ = 0;
  std::size_t sets_ = 1;
  DeviceBuffer memory_;
  DeviceBuffer ids_;
};

/// Copies 16-byte words from in to out, `words` a thread.
KernelSource copy_source(int words) {
  return {
      fmt::format("copy_w{}", words),
      fmt::format(
          "#include \"launch_params.cuh\"\n#include \"primitives.cuh\"\n"
          "extern \"C\" __global__ void __launch_bounds__(256)\n"
          "copy_w{0}(const __grid_constant__ ropejit::LaunchParams params) {{\n"
          "  const ropejit::u32 first = blockIdx.x * 256 * {0} + threadIdx.x;\n"
          "  ropejit::Word<16> word[{0}];\n"
          "#pragma unroll\n"
          "  for (ropejit::u32 i = 0; i < {0}; ++i)\n"
          "    if (first + i * 256 < params.tokens)\n"
          "      word[i] = ropejit::load_word<16>(static_cast<const char*>(params.q.in) + 16ull * (first + i * 256));\n"
          "#pragma unroll\n"
          "  for (ropejit::u32 i = 0; i < {0}; ++i)\n"
          "    if (first + i * 256 < params.tokens)\n"
          "      ropejit::store_word(static_cast<char*>(params.q.out) + 16ull * (first + i * 256), word[i]);\n"
          "}}\n",
          words)};
}

struct Compiled {
  Variant variant;
  CompiledBinary binary;
  KernelSource source;
};

std::vector<Compiled> compile_all(const Target& target, const RotationPlan& plan) {
  std::vector<Compiled> all;
  for (const Variant& variant : variant_space(plan.kernel_class)) all.push_back({variant, {}, generate(plan, variant)});
  target.compiler();
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < all.size(); at = next++)
        all[at].binary = target.compiler().compile(all[at].source);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return all;
}

double time_of(const Target& target, std::size_t bytes, bool quick, const std::function<void(void*, int)>& launch) {
  const int launches = bytes > kFitsL2 ? 8 : 24;
  return target.time_replayed_us(launch, launches, quick ? 3 : 9);
}

double copy_floor(const Target& target, const Tensors& tensors, bool quick) {
  const std::size_t bytes = tensors.moved_bytes() / 2;
  double best = 1e30;
  for (const int words : {1, 2, 4}) {
    const KernelSource source = copy_source(words);
    const auto kernel = target.load(target.compiler().compile(source).image, source.entry);
    best = std::min(best, time_of(target, bytes, quick, [&](void* stream, int i) {
                      LaunchParams params{};
                      const RopeArgs args = tensors.args(i);
                      params.q.in = args.q.data;
                      params.q.out = args.q_out.data != nullptr ? args.q_out.data : args.q.data;
                      params.tokens = static_cast<unsigned>((bytes + 15) / 16);
                      const unsigned per_block = 256U * static_cast<unsigned>(words);
                      kernel->launch({(params.tokens + per_block - 1) / per_block, 1, 256}, params, stream);
                    }));
  }
  return best;
}

std::vector<std::int64_t> read_list(const std::string& text) {
  std::vector<std::int64_t> numbers;
  for (std::size_t at = 0; at < text.size(); at = text.find(',', at) + 1) {
    numbers.push_back(std::atoll(text.c_str() + at));
    if (text.find(',', at) == std::string::npos) break;
  }
  return numbers;
}

}  // namespace

int main(int argc, char** argv) try {
  ServiceOptions options;
  std::string out_path;
  std::vector<std::int64_t> token_counts = {1, 16, 64, 256, 1024, 4096, 16384};
  bool quick = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--quick") {
      quick = true;
      continue;
    }
    ++i;
    if (flag == "--device")
      options.device = value;
    else if (flag == "--out")
      out_path = value;
    else if (flag == "--tokens")
      token_counts = read_list(value);
    else
      return std::fprintf(stderr, "variant_sweep: unknown flag %s\n", flag.c_str()), 2;
  }
  const auto target = open_target(options);
  target->make_current();
  std::ofstream out(out_path);
  std::printf("%s %s, %s\n%-22s %7s %9s | %-20s %7s | %-20s %7s %7s\n", target->name().c_str(), target->arch().c_str(),
              target->compiler().compile(copy_source(1)).compiler.c_str(), "plan", "tokens", "copy us", "best", "/copy",
              "default", "/copy", "/best");
  for (const Shape& shape : shapes()) {
    const RotationPlan plan = lower(shape.spec, shape.form);
    const std::vector<VariantChoice> defaults = default_variants(plan.kernel_class, target->multiprocessors());
    std::vector<std::pair<Compiled, PreparedKernel>> kernels;
    for (Compiled& compiled : compile_all(*target, plan)) {
      PreparedKernel kernel;
      kernel.kernel_class = plan.kernel_class;
      kernel.table.push_back(prepared_variant(plan.kernel_class, compiled.variant, 0,
                                              target->load(compiled.binary.image, compiled.source.entry)));
      kernel.universal = kernel.table.front();
      kernels.emplace_back(std::move(compiled), std::move(kernel));
    }
    for (const std::int64_t tokens : token_counts) {
      const Tensors tensors(*target, shape, tokens);
      double floor = copy_floor(*target, tensors, quick);
      std::map<Variant, double> times;
      for (const auto& [compiled, kernel] : kernels) {
        times[compiled.variant] =
            time_of(*target, tensors.moved_bytes() / 2, quick, [&, &k = kernel](void* stream, int i) {
              if (const LaunchStatus status = launch_prepared(k, tensors.args(i), stream); !status) {
                throw Error(status.code, "launch", status.message());
              }
            });
      }
      floor = std::min(floor, copy_floor(*target, tensors, quick));
      const auto best = std::min_element(times.begin(), times.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
      Variant chosen = defaults.front().variant;
      for (const VariantChoice& choice : defaults) {
        if (choice.min_tokens <= tokens) chosen = choice.variant;
      }
      const double default_time = times.count(chosen) != 0 ? times[chosen] : 0.0;
      std::printf("%-22s %7lld %9.2f | %-20s %7.2f | %-20s %7.2f %7.2f\n", shape.name.c_str(),
                  static_cast<long long>(tokens), floor, to_string(best->first).c_str(), best->second / floor,
                  to_string(chosen).c_str(), default_time / floor, default_time / best->second);
      std::fflush(stdout);
      for (const auto& [compiled, kernel] : kernels) {
        out << fmt::format(
            "{{\"device\":\"{}\",\"plan\":\"{}\",\"tokens\":{},\"bytes\":{},\"variant\":\"{}\",\"us\":{:.4f},"
            "\"copy_us\":{:.4f},\"registers\":{}}}\n",
            target->name(), shape.name, tokens, tensors.moved_bytes(), to_string(compiled.variant),
            times[compiled.variant], floor, compiled.binary.registers);
      }
    }
  }
  return 0;
} catch (const ropejit::Error& error) {
  std::fprintf(stderr, "variant_sweep: %s\n%s", error.what(), error.log().c_str());
  return 1;
}
