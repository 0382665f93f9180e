// ropejit explain: which binary would serve a case, where each was looked for, and why every rung before it missed.
#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "ropejit/service.hpp"
#include "service/service_state.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

const char* meaning_of(CacheRung rung) {
  switch (rung) {
    case CacheRung::memory: return "loaded before";
    case CacheRung::disk: return "in the cache directory";
    case CacheRung::shared: return "in a read-only directory";
    case CacheRung::miss: return "compiled now";
    case CacheRung::generic: return "not to be had: the generic kernel serves";
  }
  return "?";
}

std::string table_of(const KernelInfo& info) {
  std::string text =
      fmt::format("plan {} of class {} on {} ({})\n", info.plan_hash, info.class_hash, info.device, info.arch);
  for (const VariantInfo& variant : info.variants) {
    const bool last = &variant == &info.variants.back();
    text += fmt::format("{:<18} {:<30} {}\n",
                        last ? "any other tensors" : fmt::format("from {} tokens", variant.min_tokens), variant.variant,
                        meaning_of(variant.cache));
    for (const std::string& line : variant.missed)
      text += fmt::format("                     not {}\n", excerpt(line, 400));
  }
  return text;
}

std::string json_of(const Case& given, const KernelInfo& info) {
  return json_object([&](llvm::json::OStream& out) {
    attribute_known(out, given.known);
    attribute(out, "device", info.device);
    attribute(out, "arch", info.arch);
    attribute(out, "class", info.class_hash);
    attribute(out, "plan", info.plan_hash);
    attribute_objects(out, "variants", info.variants, [&](const VariantInfo& variant) {
      attribute(out, "variant", variant.variant);
      attribute(out, "entry", variant.entry);
      attribute(out, "min_tokens", variant.min_tokens);
      attribute(out, "rung", to_string(variant.cache));
      attribute(out, "chosen_by", to_string(variant.by));
      attribute_list(out, "missed", variant.missed);
    });
  });
}

int run_explain(const Arguments& arguments) {
  const Case given = read_case(arguments);
  ServiceOptions options = read_options(arguments);
  options.warn = {};  // they are in the report
  options.tuning = Tuning::off;
  options.on_miss = arguments.has("--compile") ? OnMiss::compile : OnMiss::generic;
  const RopeService service(options);
  const RopeKernel kernel = service.get(given.spec, given.form);
  const KernelInfo& info = kernel.info();
  print(arguments.has("--json") ? json_of(given, info) : table_of(info));
  const bool whole =
      llvm::none_of(info.variants, [](const VariantInfo& variant) { return variant.cache == CacheRung::generic; });
  return whole ? 0 : 1;
}

}  // namespace

Command explain_command() {
  return {"explain",
          "says which binaries serve a case, where each was looked for, and why the rungs before missed; status 1 "
          "where the "
          "generic kernel has to serve",
          joined({case_flags(),
                  service_flags(),
                  {{"--compile", "", "compile what is missing, as a runtime would (else nothing is made)"},
                   {"--json", "", "one JSON object on stdout"}}}),
          {},
          run_explain};
}

}  // namespace ropejit::internal
