// ropejit doctor: looks at everything that a service stands on, and says what is wrong and what to do about it.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "codegen/generic.hpp"
#include "codegen/kernel_source.hpp"
#include "cuda/cuda_target.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "host/host_compiler.hpp"
#include "ropejit/error.hpp"
#include "service/service_state.hpp"
#include "store/key_lock.hpp"
#include "store/store.hpp"
#include "support/text.hpp"
#include "tune/record_file.hpp"

namespace ropejit::internal {
namespace {

enum class Verdict {
  good,
  poor,    ///< works, but slower or with less than could be
  broken,  ///< something that was asked for does not work
};

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::good: return "ok";
    case Verdict::poor: return "poor";
    case Verdict::broken: return "broken";
  }
  return "?";
}

struct Finding {
  std::string what;
  Verdict verdict = Verdict::good;
  std::string found;
  std::string advice;  ///< empty where all is well
};

Finding good(std::string found) { return {"", Verdict::good, std::move(found), {}}; }
Finding poor(std::string found, std::string advice) { return {"", Verdict::poor, std::move(found), std::move(advice)}; }

/// What `look` finds; an error that it throws is something broken.
Finding look_at(const char* what, const std::function<Finding()>& look) {
  try {
    Finding finding = look();
    finding.what = what;
    return finding;
  } catch (const std::exception& error) {
    return {what, Verdict::broken, error.what(), "set it to what is allowed, or take it out of the environment"};
  }
}

Finding driver() {
  const CudaInfo info = cuda_info();
  if (info.devices > 0) return good(fmt::format("CUDA {}, {} devices", info.driver, info.devices));
  return {"", Verdict::poor, info.problem,
          "without a driver and a GPU only the host target runs; `ropejit compile` and warming work"};
}

Finding compiler() {
  const NvrtcInfo info = nvrtc_info(std::nullopt);
  if (info.available) return good(fmt::format("NVRTC {}, {}", info.version, info.path));
  return poor(info.problem, "without NVRTC nothing is compiled: what is not cached runs by the generic kernel");
}

Finding host_compiler() {
  try {
    return good(HostCompiler(std::nullopt).version());
  } catch (const Error& error) {
    return poor(error.what(), "needed by the host target alone");
  }
}

Finding generic_kernels() {
  std::vector<std::string> archs;
  for (const GenericImage& image : generic_images()) archs.emplace_back(image.arch);
  std::string missing;
  const CudaInfo cuda = cuda_info();
  for (int i = 0; i < cuda.devices; ++i) {
    const std::string arch = cuda_target(i, std::nullopt)->arch();
    if (generic_image_for(arch) == nullptr) missing = arch;
  }
  const std::string found = fmt::format("{}", fmt::join(archs, ", "));
  if (missing.empty() && archs.size() > 1) return good(found);
  return poor(found,
              fmt::format("none for {}: build the library where NVRTC is found", missing.empty() ? "GPUs" : missing));
}

Finding environment() {
  // Each throws where a variable has a value that is not allowed.
  ServiceState state{ServiceOptions{}};
  const std::string& folder = templates_digest();
  return {"", Verdict::good, fmt::format("all variables can be read; templates {}", folder.substr(0, 12)), {}};
}

Finding cache_writes(const BinaryStore& store) {
  if (store.directory().empty()) {
    return {"", Verdict::poor, "there is none: neither HOME nor ROPEJIT_CACHE_DIR is set",
            "every process compiles anew; set ROPEJIT_CACHE_DIR"};
  }
  const KeyLock lock = store.lock("ropejit doctor", std::chrono::milliseconds(0));
  if (lock.outcome != KeyLock::Outcome::unavailable) return good(store.directory());
  return {"", Verdict::poor, fmt::format("{}: {}", store.directory(), lock.reason),
          "processes that start together compile the same; what cannot be written is compiled anew in each"};
}

// A place of binaries of which nothing serves, in the words in which services warn of it.
Finding faulty(const TierFault& fault) {
  return {
      "", Verdict::broken, fault.text(),
      fault.is_written
          ? "name a directory of this user's own, or one in this that is yet to be made: it gets mode 0700"
          : "make it anew, set ROPEJIT_TRUST to whom it is of (cache/FORMAT.md), or take it out of ROPEJIT_CACHE_PATH"};
}

// One of ROPEJIT_CACHE_PATH that serves.
Finding tier(const TierState& state) {
  if (state.kind != TierState::Kind::bundle) return good(fmt::format("{}: a directory", state.path));
  return good(fmt::format("{}: a bundle of {} {}{}, digest {}", state.path, state.entries,
                          state.entries == 1 ? "entry" : "entries", state.has_records ? " and tuning records" : "",
                          state.digest));
}

// One finding for each tier, the user's first; that one also where there is none.
void add_tiers(const BinaryStore& store, std::vector<Finding>& findings) {
  const std::vector<TierFault> faults = store.faults();
  const std::vector<const Tier*> tiers = store.tiers();
  const auto add = [&](bool is_users, const std::string& path, const std::function<Finding()>& well) {
    const auto fault =
        llvm::find_if(faults, [&](const TierFault& one) { return one.path == path && one.is_written == is_users; });
    findings.push_back(
        look_at(is_users ? "cache" : "tier", [&] { return fault == faults.end() ? well() : faulty(*fault); }));
  };
  add(true, store.directory(), [&] { return cache_writes(store); });
  for (std::size_t i = store.directory().empty() ? 0 : 1; i < tiers.size(); ++i) {
    add(false, tiers[i]->path(), [&] { return tier(tiers[i]->state()); });
  }
}

Finding cache_entries(const BinaryStore& store) {
  std::size_t usable = 0;
  std::vector<std::string> bad;
  for (const EntryListing& entry : store.list()) {
    if (entry.metadata) {
      ++usable;
    } else if (entry.kind != Miss::Kind::newer) {
      bad.push_back(fmt::format("{}: {}", entry.path, entry.problem));
    }
  }
  if (bad.empty()) return good(fmt::format("{} can be read", usable));
  return {"", Verdict::broken,
          fmt::format("{} of {} cannot be used, the first: {}", bad.size(), usable + bad.size(), bad[0]),
          "`ropejit cache verify` lists them; they are compiled anew when they are wanted"};
}

Finding records(const BinaryStore& store) {
  const std::string path = records_path(store.directory());
  if (path.empty()) return good("none of the user's");
  for (const TierFault& fault : store.faults()) {
    // What is wrong is said of the directory.
    if (fault.is_written) return good("none of the user's: its directory is not used");
  }
  const RecordsRead read = read_records(system_file_ops(), path, store.options().trust);
  if (read.problems.empty()) return good(fmt::format("{} of the user's", read.records.all().size()));
  return {"", Verdict::broken, read.problems.front(),
          "the next tuning rewrites the file without the lines that cannot be used"};
}

std::vector<Finding> examine(const Arguments& arguments) {
  std::vector<Finding> findings = {
      look_at("environment", environment),
      look_at("driver", driver),
      look_at("nvrtc", compiler),
      look_at("host_compiler", host_compiler),
      look_at("generic_kernels", generic_kernels),
  };
  try {
    const BinaryStore store(store_options(arguments.text("--cache-dir")));
    add_tiers(store, findings);
    findings.push_back(look_at("entries", [&] { return cache_entries(store); }));
    findings.push_back(look_at("records", [&] { return records(store); }));
  } catch (const Error&) {
    // The environment's finding says what is wrong with it.
  }
  return findings;
}

std::string table_of(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<7} {:<16} {}\n", to_string(finding.verdict), finding.what, excerpt(finding.found, 400));
    if (!finding.advice.empty()) text += fmt::format("{:<24} {}\n", "", finding.advice);
  }
  return text;
}

std::string json_of(const std::vector<Finding>& findings) {
  return json_array([&](llvm::json::OStream& out) {
    for (const Finding& finding : findings) {
      out.object([&] {
        attribute(out, "what", finding.what);
        attribute(out, "verdict", to_string(finding.verdict));
        attribute(out, "found", finding.found);
        if (!finding.advice.empty()) attribute(out, "advice", finding.advice);
      });
    }
  });
}

int run_doctor(const Arguments& arguments) {
  const std::vector<Finding> findings = examine(arguments);
  print(arguments.has("--json") ? json_of(findings) : table_of(findings));
  return llvm::any_of(findings, [](const Finding& f) { return f.verdict == Verdict::broken; });
}

}  // namespace

Command doctor_command() {
  return {"doctor",
          "looks at everything that a service stands on; status 1 where something is broken",
          {{"--cache-dir", "DIR", "the cache directory to look at (see `ropejit cache path`)"},
           {"--json", "", "one JSON array on stdout"}},
          {},
          run_doctor};
}

}  // namespace ropejit::internal
