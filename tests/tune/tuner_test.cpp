#include "tune/tuner.hpp"

#include <cstring>
#include <map>
#include <set>

#include "codegen/legality.hpp"
#include "host/host_target.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "tune/workload.hpp"

using namespace ropejit;
using internal::CompiledBinary;
using internal::KernelSource;
using internal::LaunchGeometry;
using internal::LoadedKernel;
using internal::Target;
using internal::TuneOptions;
using internal::TuneResult;
using internal::Variant;

namespace {

const std::shared_ptr<const Target>& host() {
  static const std::shared_ptr<const Target> target = internal::host_target(std::nullopt);
  return target;
}

/// What a target is made to do wrong, by a part of an entry's name; and how long its launches claim to take.
struct Faults {
  std::set<std::string> compile;
  std::set<std::string> load;
  std::set<std::string> launch;
  std::set<std::string> wrong_bits;
  std::set<std::string> stray_write;
  std::map<std::string, double> us;  ///< by a part of the entry's name; else 10
  std::size_t free_bytes = std::size_t{1} << 30;
};

bool names(const std::set<std::string>& parts, const std::string& entry) {
  for (const std::string& part : parts) {
    if (entry.find(part) != std::string::npos) return true;
  }
  return false;
}

thread_local double last_us = 10;  ///< of the kernel that was launched last

class FaultyKernel : public LoadedKernel {
 public:
  FaultyKernel(const Faults& faults, std::shared_ptr<const LoadedKernel> real, std::string entry)
      : faults_(faults), real_(std::move(real)), entry_(std::move(entry)) {}
  int launch(const LaunchGeometry& geometry, LaunchParams& params, void* stream) const noexcept override {
    last_us = 10;
    for (const auto& [part, us] : faults_.us) {
      if (entry_.find(part) != std::string::npos) last_us = us;
    }
    if (names(faults_.launch, entry_)) return 719;
    const int result = real_->launch(geometry, params, stream);
    auto* q = static_cast<unsigned char*>(params.q_out);
    if (names(faults_.wrong_bits, entry_)) q[2] ^= 1;
    // Behind q: k where launches are timed, a guard zone where a winner is checked.
    if (names(faults_.stray_write, entry_)) q[std::size_t{params.tokens} * 4 * 32 * 2] ^= 1;
    return result;
  }
  int record(const LaunchGeometry& geometry, LaunchParams& params, internal::Recorder&) const noexcept override {
    return launch(geometry, params, nullptr);
  }

 private:
  const Faults& faults_;
  std::shared_ptr<const LoadedKernel> real_;
  std::string entry_;
};

class FaultyReplay final : public internal::Replay {
 public:
  FaultyReplay(std::function<void(void*, int)> launch, int launches) : launch_(std::move(launch)), launches_(launches) {
    us();
  }
  double us() override {
    for (int i = 0; i < launches_; ++i) launch_(nullptr, i);
    return last_us;
  }

 private:
  std::function<void(void*, int)> launch_;
  int launches_;
};

class FaultyRecorder : public internal::Recorder {
 public:
  void copy(void* to, const void* from, std::size_t bytes) override {
    last_us = 7;
    std::memmove(to, from, bytes);
  }
};

/// The host target with faults, and with times that are made up.
class FaultyTarget : public Target, private internal::Compiler {
 public:
  FaultyTarget(const Target& real, const Faults& faults) : real_(real), faults_(faults) {}

  const std::string& name() const override { return real_.name(); }
  const std::string& arch() const override { return real_.arch(); }
  std::uint32_t multiprocessors() const override { return real_.multiprocessors(); }
  internal::MemoryTraits memory() const override { return real_.memory(); }
  const std::string& recipe() const override { return real_.recipe(); }
  const internal::Compiler& compiler() const override { return *this; }
  std::shared_ptr<const LoadedKernel> load(std::string_view image, const KernelSource& source) const override {
    if (names(faults_.load, source.entry)) throw Error(ErrorCode::load_failed, "load", "refused");
    return std::make_shared<FaultyKernel>(faults_, real_.load(image, source), source.entry);
  }
  internal::DeviceConstant constant(const void* from, std::size_t bytes) const override {
    return real_.constant(from, bytes);
  }
  void make_current() const override {}
  internal::DeviceBuffer allocate(std::size_t bytes) const override {
    if (bytes > faults_.free_bytes) throw Error(ErrorCode::device_unavailable, "device", "out of memory");
    return real_.allocate(bytes);
  }
  void upload(void* to, const void* from, std::size_t bytes) const override { real_.upload(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) const override { real_.download(to, from, bytes); }
  void synchronize() const override {}
  std::size_t free_bytes() const override { return faults_.free_bytes; }
  void upload_aside(void* to, const void* from, std::size_t bytes) const override { real_.upload(to, from, bytes); }
  void download_aside(void* to, const void* from, std::size_t bytes) const override { real_.download(to, from, bytes); }
  bool is_capturing() const noexcept override { return false; }
  void copy(void* to, const void* from, std::size_t bytes, void* stream) const override {
    real_.copy(to, from, bytes, stream);
  }
  double time_us(const std::function<void()>& launch, int repeats) const override {
    return real_.time_us(launch, repeats);
  }
  std::unique_ptr<internal::Replay> capture(std::function<void(void*, int)> launch, int launches) const override {
    return std::make_unique<FaultyReplay>(std::move(launch), launches);
  }
  std::unique_ptr<internal::Replay> record(std::function<void(internal::Recorder&, int)> fill,
                                           int launches) const override {
    return std::make_unique<FaultyReplay>(
        [fill = std::move(fill)](void*, int i) {
          FaultyRecorder recorder;
          fill(recorder, i);
        },
        launches);
  }

 private:
  CompiledBinary compile(const KernelSource& source) const override {
    if (names(faults_.compile, source.entry)) throw Error(ErrorCode::compile_failed, "compile", "error: no");
    return real_.compiler().compile(source);
  }

  const Target& real_;
  const Faults& faults_;
};

RopeSpec small_spec() {
  RopeSpec spec;
  spec.dtype = DType::bf16;
  spec.rotary_dim = 32;
  spec.q = {4, 32, 0};
  spec.k = Operand{2, 32, 0};
  return spec;
}

internal::RotationPlan small_plan() { return internal::lower(small_spec(), LaunchForm::in_place_ids()); }

std::vector<Variant> variants(std::initializer_list<const char*> names) {
  std::vector<Variant> all;
  for (const char* name : names) all.push_back(*internal::parse_variant(name));
  return all;
}

TuneOptions options_for(std::vector<std::int64_t> tokens) {
  TuneOptions options;
  options.tokens = std::move(tokens);
  options.variants = variants({"flat_v4_h1_t128", "flat_v4_h2_t128", "flat_v8_h1_t128"});
  return options;
}

TuneResult tuned(const Faults& faults, const TuneOptions& options, const internal::KeepBinary& keep = {}) {
  const FaultyTarget target(*host(), faults);
  return internal::tune(target, small_plan(), options, keep);
}

}  // namespace

TEST_CASE("The fastest variant of each size is found, measured, checked and kept", "[host]") {
  Faults faults;
  faults.us["flat_v4_h2"] = 8;
  std::vector<std::string> kept;
  const TuneResult result =
      tuned(faults, options_for({1, 100}), [&](const Variant& variant, const CompiledBinary& binary) {
        kept.push_back(to_string(variant));
        CHECK_FALSE(binary.image.empty());
      });
  REQUIRE(result.sizes.size() == 2);
  for (const internal::TunedSize& size : result.sizes) {
    REQUIRE(size.winner);
    CHECK(to_string(*size.winner) == "flat_v4_h2_t128");
    CHECK(size.us == 8);
    CHECK(size.copy_us == 7);
    CHECK(size.tried.size() + 1 == result.compiled);  // all but the universal entry
    CHECK(size.problem.empty());
  }
  CHECK(kept == std::vector<std::string>{"flat_v4_h2_t128"});
  CHECK(result.problems.empty());
  CHECK(result.compiled > 4);  // the defaults are tried, too
}

TEST_CASE("What goes wrong with one variant costs that variant alone, and is told", "[host]") {
  struct Row {
    const char* what;
    std::set<std::string> Faults::*fault;
    const char* told;
  };
  const Row rows[] = {
      {"does not compile", &Faults::compile, "flat_v4_h2_t128: error: no"},
      {"does not load", &Faults::load, "flat_v4_h2_t128: refused"},
      {"does not launch", &Faults::launch, "flat_v4_h2_t128: launch_failed: the driver refused the launch"},
      {"gives other bits", &Faults::wrong_bits, "flat_v4_h2_t128: its bits are not the universal entry's"},
      {"writes elsewhere", &Faults::stray_write, "flat_v4_h2_t128: it writes outside its outputs"}};
  for (const Row& row : rows) {
    INFO(row.what);
    Faults faults;
    faults.us["flat_v4_h2"] = 5;  // it would win
    faults.us["flat_v8_h1"] = 8;
    (faults.*row.fault).insert("flat_v4_h2");
    const TuneResult result = tuned(faults, options_for({16}));
    REQUIRE(result.sizes[0].winner);
    CHECK(to_string(*result.sizes[0].winner) == "flat_v8_h1_t128");
    REQUIRE_FALSE(result.problems.empty());
    INFO(result.problems[0]);
    CHECK(result.problems[0].find(row.told) == 0);
  }
}

TEST_CASE("Where nothing works there is no winner, and a reason", "[host]") {
  Faults faults;
  faults.compile = {"flat_v"};
  const TuneResult result = tuned(faults, options_for({16}));
  CHECK_FALSE(result.sizes[0].winner);
  CHECK(result.sizes[0].problem == "no variant compiled, loaded, launched and was right");
  CHECK(result.problems.size() >= 3);
}

TEST_CASE("Where the device is gone there is no winner, and the tuner ends", "[host]") {
  Faults faults;
  faults.launch = {"rope_"};
  const TuneResult result = tuned(faults, options_for({1, 16}));
  for (const internal::TunedSize& size : result.sizes) {
    CHECK_FALSE(size.winner);
    CHECK(size.problem == "no variant compiled, loaded, launched and was right");
  }
  CHECK(result.problems.size() >= 3);
}

TEST_CASE("Without a universal entry nothing can be checked, so nothing wins", "[host]") {
  Faults faults;
  faults.compile = {"universal"};
  const TuneResult result = tuned(faults, options_for({16}));
  CHECK_FALSE(result.sizes[0].winner);
}

TEST_CASE("A size that does not fit in a quarter of the free memory is left out, the others are tuned", "[host]") {
  Faults faults;
  faults.free_bytes = 1U << 20;
  const TuneResult result = tuned(faults, options_for({16, 100'000}));
  CHECK(result.sizes[0].winner);
  CHECK_FALSE(result.sizes[1].winner);
  CHECK(result.sizes[1].problem.find("found tensors of") != std::string::npos);
}

TEST_CASE("Who is told to stop stops, with what is done so far", "[host]") {
  Faults faults;
  faults.us["flat_v4_h2"] = 8;
  TuneOptions options = options_for({1, 100});
  int left = 1'000'000;
  double worked = 0;
  options.may_go_on = [&](double device_us) {
    worked += device_us;
    return --left > 0;
  };
  REQUIRE(tuned(faults, options).sizes[1].winner);
  CHECK(worked > 0);
  const int all = 1'000'000 - left;
  // Within the final of the last size. How often it asks differs a little from run to run, by the order in which
  // binaries come.
  TuneResult most;
  for (int before = 5; before < all && (most.sizes.empty() || most.sizes[1].problem.empty()); before *= 2) {
    left = all - before;
    most = tuned(faults, options);
  }
  CHECK(most.sizes[0].winner);
  CHECK(most.sizes[1].problem == "stopped before it was done");
  left = 3;
  const TuneResult nothing = tuned(faults, options);
  CHECK_FALSE(nothing.sizes[0].winner);
  CHECK(nothing.sizes[0].problem == "stopped before it was done");
}

TEST_CASE("A budget of nothing still ends with a winner for a size that was timed", "[host]") {
  TuneOptions options = options_for({16});
  options.budget_s = 0;
  const TuneResult result = tuned({}, options);
  REQUIRE(result.sizes[0].winner);
  CHECK(result.sizes[0].out_of_time);
}

TEST_CASE("The tuner runs from end to end where there is no GPU", "[host]") {
  TuneOptions options = options_for({1, 64});
  const TuneResult result = internal::tune(*host(), small_plan(), options, {});
  for (const internal::TunedSize& size : result.sizes) {
    REQUIRE(size.winner);
    CHECK(size.us > 0);
    CHECK(size.copy_us > 0);
    CHECK(internal::why_illegal(small_plan().kernel_class, *size.winner).empty());
  }
}

TEST_CASE("A workload of every kind of form can be launched", "[host]") {
  std::vector<LaunchForm> forms = {LaunchForm::in_place_ids(), LaunchForm::out_of_place_start(),
                                   LaunchForm::in_place_ids(PositionSource::ids32).with_free_strides()};
  for (const PositionSource source : {PositionSource::offsets32, PositionSource::offsets64, PositionSource::ragged}) {
    LaunchForm form = LaunchForm::in_place_start();
    form.positions = source;
    form.context_parallel = ContextParallel::zigzag;
    forms.push_back(form);
  }
  for (const AngleSource angles : {AngleSource::half, AngleSource::full, AngleSource::repeated, AngleSource::complex,
                                   AngleSource::cos_sin, AngleSource::radians}) {
    forms.push_back(LaunchForm::in_place_ids().with_table(angles));
  }
  LaunchForm serving = LaunchForm::in_place_ids(PositionSource::ids32);
  serving.k_rows = CacheRows::rows64;
  serving.counted = true;
  serving.padding = Padding::zero;
  forms.push_back(serving);
  for (const Placement placement : {Placement::in_place, Placement::out_of_place}) {
    LaunchForm prefill = serving;
    prefill.placement = placement;
    prefill.k_rows = CacheRows::slots32;
    prefill.k_beside = true;
    forms.push_back(prefill);
  }
  for (const LaunchForm& form : forms) {
    INFO(form.to_json());
    TuneOptions options;
    options.tokens = {7};
    const internal::RotationPlan plan = internal::lower(small_spec(), form);
    options.variants = {internal::variant_space(plan.kernel_class).front()};
    const TuneResult result = internal::tune(*host(), plan, options, {});
    INFO((result.problems.empty() ? std::string() : result.problems[0]));
    CHECK(result.sizes[0].winner);
  }
}
