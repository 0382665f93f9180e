#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "codegen/template_folder.hpp"
#include "cuda/cuda_target.hpp"
#include "cuda/nvrtc_compiler.hpp"
#include "host/host_compiler.hpp"
#include "ropejit/error.hpp"
#include "ropejit/version.hpp"
#include "store/store.hpp"

namespace ropejit::internal {
namespace {

struct DeviceLine {
  std::string name;  ///< empty: it cannot be used; `problem` says why
  std::string arch;
  std::uint32_t multiprocessors = 0;
  std::string problem;
};

struct Facts {
  CudaInfo cuda;
  std::vector<DeviceLine> devices;
  NvrtcInfo nvrtc;
  std::string host_compiler;  ///< empty: there is none
  std::string host_version;
  std::string host_problem;
  std::string templates_digest;  ///< empty: the folder is not fit
  std::size_t templates = 0;
  std::string templates_problem;
  std::string cache_directory;
  std::size_t cache_entries = 0;
  std::size_t cache_damaged = 0;
};

// What `get` throws becomes a line of the report: nothing that is absent may fail this command.
template <typename Get>
std::string problem_of(const Get& get) {
  try {
    get();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

Facts gather(const Arguments& arguments) {
  Facts facts;
  facts.cuda.problem = problem_of([&] { facts.cuda = cuda_info(); }) + facts.cuda.problem;
  for (int i = 0; i < facts.cuda.devices; ++i) {
    DeviceLine line;
    line.problem = problem_of([&] {
      const std::shared_ptr<const Target> target = cuda_target(i, std::nullopt);
      line.name = target->name();
      line.arch = target->arch();
      line.multiprocessors = target->multiprocessors();
    });
    facts.devices.push_back(line);
  }
  const std::string nvrtc_problem = problem_of([&] { facts.nvrtc = nvrtc_info(std::nullopt); });
  if (!nvrtc_problem.empty()) facts.nvrtc = {false, {}, {}, {}, nvrtc_problem};
  facts.host_problem = problem_of([&] {
    const HostCompiler compiler{std::nullopt};
    facts.host_compiler = compiler.path();
    facts.host_version = compiler.version();
  });
  facts.templates_problem = problem_of([&] {
    facts.templates_digest = templates_digest();
    facts.templates = template_files().size();
  });
  StoreOptions store = store_options(arguments.text("--cache-dir"));
  facts.cache_directory = store.directory;
  store.read_only.clear();  // of the user's directory alone
  const std::vector<EntryListing> entries = BinaryStore(std::move(store)).list();
  facts.cache_entries = entries.size();
  facts.cache_damaged =
      static_cast<std::size_t>(llvm::count_if(entries, [](const EntryListing& entry) { return !entry.metadata; }));
  return facts;
}

void text_or_null(llvm::json::OStream& out, std::string_view key, const std::string& text) {
  if (text.empty()) {
    attribute_null(out, key);
  } else {
    attribute(out, key, text);
  }
}

std::string info_json(const Facts& facts) {
  return json_object([&](llvm::json::OStream& out) {
    attribute(out, "version", ROPEJIT_VERSION);
    out.attributeObject("cuda", [&] {
      text_or_null(out, "driver", facts.cuda.driver);
      attribute_objects(out, "devices", facts.devices, [&](const DeviceLine& device) {
        text_or_null(out, "name", device.name);
        text_or_null(out, "arch", device.arch);
        attribute(out, "multiprocessors", device.multiprocessors);
        text_or_null(out, "problem", device.problem);
      });
      text_or_null(out, "problem", facts.cuda.problem);
    });
    out.attributeObject("nvrtc", [&] {
      attribute(out, "available", facts.nvrtc.available);
      text_or_null(out, "version", facts.nvrtc.version);
      text_or_null(out, "path", facts.nvrtc.path);
      attribute_list(out, "archs", facts.nvrtc.archs);
      text_or_null(out, "problem", facts.nvrtc.problem);
    });
    out.attributeObject("host_compiler", [&] {
      text_or_null(out, "path", facts.host_compiler);
      text_or_null(out, "version", facts.host_version);
      text_or_null(out, "problem", facts.host_problem);
    });
    out.attributeObject("templates", [&] {
      text_or_null(out, "folder", templates_folder());  // null: those embedded in the library
      attribute(out, "files", facts.templates);
      text_or_null(out, "digest", facts.templates_digest);
      text_or_null(out, "problem", facts.templates_problem);
    });
    out.attributeObject("cache", [&] {
      text_or_null(out, "path", facts.cache_directory);
      attribute(out, "entries", facts.cache_entries);
      attribute(out, "damaged", facts.cache_damaged);
    });
  });
}

std::string info_table(const Facts& facts) {
  std::string text = fmt::format("ropejit        {}\n", ROPEJIT_VERSION);
  text += fmt::format("CUDA driver    {}\n", facts.cuda.driver.empty() ? facts.cuda.problem : facts.cuda.driver);
  for (std::size_t i = 0; i < facts.devices.size(); ++i) {
    const DeviceLine& device = facts.devices[i];
    text += device.problem.empty() ? fmt::format("  cuda:{:<7}{}, {}, {} multiprocessors\n", i, device.name,
                                                 device.arch, device.multiprocessors)
                                   : fmt::format("  cuda:{:<7}{}\n", i, device.problem);
  }
  if (!facts.cuda.driver.empty() && facts.devices.empty())
    text += fmt::format("  no device    {}\n", facts.cuda.problem);
  if (facts.nvrtc.available) {
    text += fmt::format("NVRTC          {}, {}\n", facts.nvrtc.version, facts.nvrtc.path);
    text += fmt::format("  compiles for {}\n", fmt::join(facts.nvrtc.archs, " "));
  } else {
    text += fmt::format("NVRTC          {}\n", facts.nvrtc.problem);
  }
  text += facts.host_problem.empty() ? fmt::format("host compiler  {}, {}\n", facts.host_compiler, facts.host_version)
                                     : fmt::format("host compiler  {}\n", facts.host_problem);
  if (!facts.templates_problem.empty()) {
    text += fmt::format("templates      {}\n", facts.templates_problem);
  } else if (!templates_folder().empty()) {
    text += fmt::format("templates      {} files of {} ($ROPEJIT_TEMPLATES), not the library's own\n", facts.templates,
                        templates_folder());
  }
  text += fmt::format("cache          {}, {} entries",
                      facts.cache_directory.empty() ? "memory only" : facts.cache_directory, facts.cache_entries);
  if (facts.cache_damaged != 0) text += fmt::format(", {} damaged", facts.cache_damaged);
  return text + "\n";
}

int run_info(const Arguments& arguments) {
  const Facts facts = gather(arguments);
  print(arguments.has("--json") ? info_json(facts) : info_table(facts));
  return 0;
}

}  // namespace

Command info_command() {
  return {"info",
          "shows what there is to work with: driver, devices, compilers, cache",
          {{"--cache-dir", "DIR", "the cache to count (see `ropejit cache path`)"},
           {"--json", "", "one JSON object on stdout"}},
          {},
          run_info};
}

}  // namespace ropejit::internal
