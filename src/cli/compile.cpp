#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "codegen/generate.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "host/host_target.hpp"
#include "ropejit/error.hpp"
#include "support/parallel.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

// One binary to make.
struct Job {
  std::string arch;  ///< as given: "sm_90" or "host"
  std::string path;
  std::shared_ptr<const Target> host;  ///< keeps the host's compiler
  std::unique_ptr<Compiler> nvrtc;
  CompiledBinary binary;

  const Compiler& compiler() const { return host ? host->compiler() : *nvrtc; }
};

std::vector<std::string> read_archs(const Arguments& arguments) {
  const std::string list = arguments.required("--arch", "sm_80,sm_90 (or host)");
  std::vector<std::string> archs;
  for (const std::string_view arch : split(list, ',')) {
    if (arch.empty()) {
      throw bad_argument("--arch: found {}, allowed: names with commas between, e.g. sm_80,sm_90", quoted(list));
    }
    if (!llvm::is_contained(archs, arch)) archs.emplace_back(arch);
  }
  return archs;
}

// Every compiler is made before anything is compiled or written: an arch that none knows stops the command here.
std::vector<Job> make_jobs(const std::vector<std::string>& archs, const std::string& directory,
                           const std::string& entry) {
  std::vector<Job> jobs;
  for (const std::string& arch : archs) {
    Job job;
    job.arch = arch;
    std::string suffix = arch + ".cubin";
    if (arch == "host") {
      job.host = host_target(std::nullopt);
      suffix = job.host->arch() + ".so";
    } else {
      job.nvrtc = nvrtc_compiler(arch, std::nullopt);
    }
    job.path = fmt::format("{}/{}.{}", directory, entry, suffix);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::string report_json(const std::vector<Job>& jobs) {
  return json_array([&](llvm::json::OStream& out) {
    for (const Job& job : jobs) {
      out.object([&] {
        attribute(out, "arch", job.arch);
        attribute(out, "file", job.path);
        attribute(out, "bytes", job.binary.image.size());
        attribute(out, "registers", job.binary.registers);
        attribute(out, "spill_bytes", job.binary.spill_bytes);
        attribute(out, "compile_ms", job.binary.compile_ms);
        attribute(out, "compiler", job.binary.compiler);
      });
    }
  });
}

std::string report_table(const std::vector<Job>& jobs) {
  const auto known = [](int number) { return number < 0 ? std::string("-") : fmt::format("{}", number); };
  std::string text = fmt::format("{:<8} {:>9} {:>9} {:>11} {:>10}  {}\n", "arch", "bytes", "registers", "spill bytes",
                                 "compiled in", "file");
  for (const Job& job : jobs) {
    text += fmt::format("{:<8} {:>9} {:>9} {:>11} {:>10}  {}\n", job.arch, grouped(job.binary.image.size()),
                        known(job.binary.registers), known(job.binary.spill_bytes),
                        duration(job.binary.compile_ms * 1e3), job.path);
  }
  return text;
}

int run_compile(const Arguments& arguments) {
  const std::vector<std::string> archs = read_archs(arguments);
  const std::string directory = arguments.required("--out", "binaries");
  const Case given = read_case(arguments);
  const RotationPlan plan = plan_of(given);
  const Variant variant = read_variant(arguments, plan.kernel_class, given.tokens);
  const KernelSource source = generate(plan, variant);
  std::vector<Job> jobs = make_jobs(archs, directory, source.entry);
  parallel_for(static_cast<std::int64_t>(jobs.size()), [&](std::int64_t i) {
    Job& job = jobs[static_cast<std::size_t>(i)];
    job.binary = job.compiler().compile(source);
  });
  make_directory("--out", directory);
  for (const Job& job : jobs) write_file(job.path, job.binary.image);
  print(arguments.has("--json") ? report_json(jobs) : report_table(jobs));
  return 0;
}

}  // namespace

Command compile_command() {
  return {"compile",
          "compiles a kernel into files, with no device",
          joined({case_flags(),
                  {variant_flag(),
                   {"--arch", "LIST", "what to compile for: sm_80,sm_90 (see `ropejit info`), or host"},
                   {"--out", "DIR", "where the binaries go"},
                   {"--json", "", "one JSON array on stdout"}}}),
          {},
          run_compile};
}

}  // namespace ropejit::internal
