// ropejit_bench first: from a service to a finished first launch, in processes of their own, beyond CUDA's own
// initialisation; and beside it what no run-time compiler can do without, loading NVRTC and compiling an empty kernel.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/cells.hpp"
#include "bench/commands.hpp"
#include "bench/tensors.hpp"
#include "cli/arguments.hpp"
#include "launch_params.cuh"
#include "ropejit/error.hpp"
#include "ropejit/service.hpp"
#include "service/targets.hpp"
#include "tune/statistics.hpp"

namespace ropejit::bench {

using internal::summarize;
using internal::Summary;
namespace {

using Clock = std::chrono::steady_clock;
using internal::Target;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

/// What is launched: a rotation of one token of Llama 3's heads in place, or the prologue of Qwen3's, which are as
/// many.
struct FirstLaunch {
  RopeSpec spec;
  LaunchForm form;
  RopeArgs args;
};

/// get, launch, wait.
double launched_us(const RopeService& service, const Target& target, const FirstLaunch& first) {
  const auto start = Clock::now();
  const RopeKernel rope = service.get(first.spec, first.form);
  const LaunchStatus status = rope.launch(first.args);
  target.synchronize();
  const double us = us_since(start);
  if (!status) throw Error(status.code, "launch", status.message());
  return us;
}

// --- the child -----------------------------------------------------------------------------------------------------

/// Prints names and microseconds.
void measure_ours(const Target& target, const ServiceOptions& options, bool prologue) {
  Cell cell{llama_case(), 1};
  cell.what.norm = cell.what.append = prologue;
  const SetLayout layout = SetLayout::of(cell, L2::hot, CacheSizes::of(target));
  const internal::DeviceBuffer memory = target.allocate(layout.bytes());
  const std::vector<char> zeros(layout.bytes());
  target.upload(memory.data(), zeros.data(), zeros.size());
  const Tensors tensors(target, memory, cell, layout);
  FirstLaunch first{cell.what.spec(), cell.what.form(), tensors.args(0)};
  if (!prologue) {
    first.form = LaunchForm::in_place_start();
    first.args.positions = Positions::start(7);
  }
  const auto start = Clock::now();
  const RopeService service(options);
  const double made = us_since(start);
  fmt::print("first {}\n", made + launched_us(service, target, first));
  fmt::print("memory {}\n", launched_us(service, target, first));
  if (options.on_miss != OnMiss::background) return;
  if (!service.wait_for_compiles(60)) throw Error(ErrorCode::internal, "bench", "compiling takes more than a minute");
  fmt::print("settled {}\n", us_since(start));
}

void measure_twin(const Target& target) {
  // The host target calls its entries with parameters; nothing else is in the kernel.
  const bool host = target.name() == "host";
  const internal::KernelSource source = {
      "nothing",
      host ? "#include \"launch_params.cuh\"\nextern \"C\" __global__ void nothing(ropejit::LaunchParams) {}\n"
           : "extern \"C\" __global__ void nothing() {}\n"};
  auto start = Clock::now();
  const internal::CompiledBinary binary = target.compiler().compile(source);
  fmt::print("compile {}\n", us_since(start));
  start = Clock::now();
  const auto kernel = target.load(binary.image, source);
  LaunchParams params{};
  const int result = kernel->launch({1, 32}, params, nullptr);
  target.synchronize();
  fmt::print("load {}\n", us_since(start));
  if (result != 0) throw Error(ErrorCode::launch_failed, "bench", fmt::format("driver error {}", result));
}

void be_child(const std::string& mode, const ServiceOptions& options, bool prologue) {
  const auto start = Clock::now();
  const auto target = internal::open_target(options);
  target->make_current();
  target->synchronize();
  fmt::print("initialisation {}\n", us_since(start));
  if (mode == "twin") {
    measure_twin(*target);
  } else {
    ServiceOptions ours = options;
    if (mode == "frozen") {
      // A bundle: the compiler is not to be found either.
      ::setenv("ROPEJIT_CACHE_PATH", options.cache_dir->c_str(), 1);
      ours.cache_dir = "";
      ours.nvrtc = ours.host_compiler = "/nonexistent";
      ours.frozen = true;
    } else {
      ours.on_miss = mode == "background" ? OnMiss::background : OnMiss::compile;
    }
    measure_ours(*target, ours, prologue);
  }
  std::fflush(stdout);
}

// --- the parent ----------------------------------------------------------------------------------------------------

Error failed(const std::string& what) { return {ErrorCode::internal, "bench", what}; }

/// Runs this program anew and reads what it prints.
std::map<std::string, double> child(std::vector<std::string> words) {
  words.insert(words.begin(), {"ropejit_bench", "first"});
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  int ends[2];
  if (::pipe(ends) != 0) throw failed(fmt::format("pipe: {}", std::strerror(errno)));
  const pid_t process = ::fork();
  if (process < 0) throw failed(fmt::format("fork: {}", std::strerror(errno)));
  if (process == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execv("/proc/self/exe", pointers.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof piece)) != 0;) {
    if (got > 0) text.append(piece, static_cast<std::size_t>(got));
    if (got < 0 && errno != EINTR) break;
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(process, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw failed("a process of its own failed");
  std::map<std::string, double> numbers;
  std::istringstream lines(text);
  std::string name;
  for (double us = 0; lines >> name >> us;) numbers[name] = us;
  return numbers;
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    path_ = (std::filesystem::temp_directory_path() / "ropejit_bench_XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) throw failed(fmt::format("{}: {}", path_, std::strerror(errno)));
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

void first_command(const Words& words) {
  const internal::Arguments arguments("first",
                                      {{"--device", "NAME", ""},
                                       {"--repeats", "N", ""},
                                       {"--prologue", "", ""},
                                       {"--child", "MODE", ""},
                                       {"--cache", "DIR", ""},
                                       {"--bundle", "FILE", ""}},
                                      words);
  if (const auto mode = arguments.text("--child")) {
    ServiceOptions options;
    options.device = arguments.text("--device");
    options.cache_dir = arguments.text("--cache").value_or("");
    return be_child(*mode, options, arguments.has("--prologue"));
  }
  std::vector<std::string> device;
  if (const auto name = arguments.text("--device")) device = {"--device=" + *name};
  std::map<std::string, std::vector<double>> samples;
  const auto run = [&](const std::string& mode, const std::string& cache) {
    std::vector<std::string> given = device;
    given.insert(given.end(), {"--child=" + mode, "--cache=" + cache});
    if (arguments.has("--prologue")) given.emplace_back("--prologue");
    return child(given);
  };
  const std::int64_t repeats = arguments.integer("--repeats", 7, 1, 1000);
  for (std::int64_t i = 0; i < repeats; ++i) {
    const TemporaryFolder folder;
    const auto twin = run("twin", "");
    const auto empty = run("ours", folder.path());
    const auto disk = run("ours", folder.path());
    const TemporaryFolder second;
    const auto background = run("background", second.path());
    samples["initialisation"].push_back(disk.at("initialisation"));
    samples["empty"].push_back(empty.at("first"));
    samples["disk"].push_back(disk.at("first"));
    samples["background"].push_back(background.at("first"));
    samples["settled"].push_back(background.at("settled"));
    samples["memory"].push_back(disk.at("memory"));
    samples["compile"].push_back(twin.at("compile"));
    samples["load"].push_back(twin.at("load"));
    if (const auto bundle = arguments.text("--bundle")) samples["frozen"].push_back(run("frozen", *bundle).at("first"));
  }
  const struct {
    const char* name;
    const char* text;
  } rows[] = {{"empty", "first launch, empty cache"},
              {"background", "first launch, empty cache, compiling in the background (OnMiss::background)"},
              {"settled", "until the kernel's own binaries serve there"},
              {"disk", "first launch, binaries on disk"},
              {"frozen", "first launch of a frozen service, binaries in the bundle"},
              {"memory", "get and launch again, in memory"},
              {"compile", "loading the compiler and compiling an empty kernel"},
              {"load", "loading and launching that kernel"},
              {"initialisation", "the driver's own initialisation, in none of these"}};
  fmt::print("| {} processes each | ms | spread | least | most |\n|---|---|---|---|---|\n", repeats);
  for (const auto& row : rows) {
    const std::vector<double>& each = samples[row.name];
    if (each.empty()) continue;
    const Summary summary = summarize(each);
    fmt::print("| {} | {:.3f} | {:.3f} | {:.3f} | {:.3f} |\n", row.text, summary.median / 1e3, summary.spread / 1e3,
               *std::min_element(each.begin(), each.end()) / 1e3, *std::max_element(each.begin(), each.end()) / 1e3);
  }
  fmt::print(
      "\nempty cache: {:.2f} times the empty kernel's compile (target 2.5), in the background {:.2f} times; disk: "
      "{:.2f} ms "
      "(target 2)\n",
      summarize(samples["empty"]).median / summarize(samples["compile"]).median,
      summarize(samples["background"]).median / summarize(samples["compile"]).median,
      summarize(samples["disk"]).median / 1e3);
}

}  // namespace ropejit::bench
