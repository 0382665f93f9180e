// The variants that a case may be computed by, and why one is not among them.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "codegen/candidates.hpp"
#include "codegen/default_variant.hpp"
#include "codegen/legality.hpp"
#include "codegen/work.hpp"
#include "ropejit/error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

struct Listed {
  Variant variant;
  bool searched = false;  ///< one of variant_space
  bool candidate = false;
  std::vector<std::int64_t> serves_from;  ///< tokens, by default; empty: it does not
  bool serves_any_strides = false;
  Work work;
};

// The space in its order, then what serves and is not of it. Serving ones as serving_variants has them for a plan whose
// length is known.
std::vector<Listed> list_variants(const KernelClass& kernel_class) {
  const std::vector<Variant> space = variant_space(kernel_class);
  const std::vector<Variant> candidates = candidate_variants(kernel_class);
  const std::vector<VariantChoice> serving = default_variants(kernel_class, kAssumedMultiprocessors);
  std::vector<Variant> all = space;
  for (const VariantChoice& choice : serving) {
    if (!llvm::is_contained(all, choice.variant)) all.push_back(choice.variant);
  }
  all.push_back(universal_variant(kernel_class));

  std::vector<Listed> listed;
  for (const Variant& variant : all) {
    Listed one;
    one.variant = variant;
    one.searched = llvm::is_contained(space, variant);
    one.candidate = llvm::is_contained(candidates, variant);
    for (const VariantChoice& choice : serving) {
      if (choice.variant == variant) one.serves_from.push_back(choice.min_tokens);
    }
    one.serves_any_strides = variant == universal_variant(kernel_class);
    one.work = work_of(kernel_class, variant);
    listed.push_back(std::move(one));
  }
  return listed;
}

std::string tokens_text(const std::vector<std::int64_t>& from) {
  std::vector<std::string> texts;
  for (const std::int64_t tokens : from) texts.push_back(grouped(tokens));
  return fmt::format("{}", fmt::join(texts, " and "));
}

// "4": whole tokens; "1/3": a third of one.
std::string share_text(const BlockSplit& split) {
  return split.parts > 1 ? fmt::format("1/{}", split.parts) : fmt::format("{}", split.tokens);
}

std::string variants_table(const KernelClass& kernel_class, const std::vector<Listed>& all) {
  const auto searched = llvm::count_if(all, [](const Listed& one) { return one.searched; });
  const auto candidates = llvm::count_if(all, [](const Listed& one) { return one.candidate; });
  std::string text =
      fmt::format("{}\n{} variants, {} of them candidates; what serves by default is for {} multiprocessors\n\n",
                  kernel_class.text(), searched, candidates, kAssumedMultiprocessors);
  text += fmt::format("{:<32} {:<9} {:>7}", "variant", "candidate", "threads");
  for (const PlanOperand& operand : kernel_class.operands) {
    text += fmt::format(" {:>14}", fmt::format("{} tokens/block", to_string(operand.name)));
  }
  text += "  serves by default from\n";
  for (const Listed& one : all) {
    std::string serves = tokens_text(one.serves_from);
    if (!serves.empty()) serves += " tokens";
    if (one.serves_any_strides) serves = "tensors that break the form's promise";
    if (!one.searched && !one.serves_any_strides) serves += " (not searched)";
    std::string line =
        fmt::format("{:<32} {:<9} {:>7}", to_string(one.variant), one.candidate ? "yes" : "", one.work.threads);
    for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
      line += fmt::format(" {:>14}", share_text(one.work.operands[i].block));
    }
    line += "  " + serves;
    text += line.erase(line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

void attribute_split(llvm::json::OStream& out, std::string_view key, const BlockSplit& split) {
  out.attributeObject(key, [&] {
    attribute(out, "tokens", split.tokens);
    attribute(out, "parts", split.parts);
  });
}

std::string variants_json(const Case& given, const KernelClass& kernel_class, const std::vector<Listed>& all) {
  return json_object([&](llvm::json::OStream& out) {
    attribute_known(out, given.known);
    attribute(out, "class", kernel_class.text());
    attribute(out, "class_hash", kernel_class.hash());
    attribute(out, "multiprocessors", kAssumedMultiprocessors);
    attribute_objects(out, "variants", all, [&](const Listed& one) {
      attribute(out, "variant", to_string(one.variant));
      attribute(out, "searched", one.searched);
      attribute(out, "candidate", one.candidate);
      out.attributeArray("serves_from", [&] {
        for (const std::int64_t tokens : one.serves_from) out.value(tokens);
      });
      attribute(out, "serves_any_strides", one.serves_any_strides);
      attribute(out, "threads", one.work.threads);
      for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
        attribute_split(out, to_string(kernel_class.operands[i].name), one.work.operands[i].block);
      }
    });
  });
}

Variant read_why_not(const Arguments& arguments) {
  const std::string name = arguments.text("--why-not").value_or("");
  if (const std::optional<Variant> variant = parse_variant(name)) return *variant;
  throw bad_argument(
      "--why-not: found {}, allowed: FAMILY_vBYTES_hHEADS_tTHREADS[_buffer], of flat, "
      "lanes, shared and universal, such as flat_v16_h8_t128",
      quoted(name));
}

// How far a variant gets, and why no further.
struct Standing {
  enum class Kind { illegal, not_searched, searched, candidate } kind = Kind::illegal;
  std::string reason;  ///< empty for a candidate
};

Standing standing_of(const KernelClass& kernel_class, const Variant& variant) {
  using Kind = Standing::Kind;
  if (std::string why = why_illegal(kernel_class, variant); !why.empty()) return {Kind::illegal, why};
  if (std::string why = why_not_in_space(kernel_class, variant); !why.empty()) return {Kind::not_searched, why};
  if (std::string why = why_not_candidate(kernel_class, variant); !why.empty()) return {Kind::searched, why};
  return {Kind::candidate, {}};
}

std::string standing_text(const Standing& standing) {
  switch (standing.kind) {
    case Standing::Kind::illegal: return "is not legal here: " + standing.reason;
    case Standing::Kind::not_searched: return "is legal here, but not searched: " + standing.reason;
    case Standing::Kind::searched: return "is legal here, but no candidate: " + standing.reason;
    case Standing::Kind::candidate: return "is a candidate";
  }
  return {};
}

std::string serving_text(const KernelClass& kernel_class, const Variant& variant, std::int64_t tokens) {
  const Variant serving = default_variant_for(kernel_class, tokens);
  if (variant == universal_variant(kernel_class)) {
    return fmt::format("it serves those, and {} serves {} tokens by default", to_string(serving), grouped(tokens));
  }
  if (variant == serving) return fmt::format("it serves {} tokens by default", grouped(tokens));
  std::vector<std::int64_t> from;
  for (const VariantChoice& choice : default_variants(kernel_class, kAssumedMultiprocessors)) {
    if (choice.variant == variant) from.push_back(choice.min_tokens);
  }
  const std::string own =
      from.empty() ? "" : fmt::format("it serves by default from {} tokens, and ", tokens_text(from));
  return fmt::format("{}{} serves {}{} by default", own, to_string(serving), grouped(tokens),
                     from.empty() ? " tokens" : "");
}

int explain(const Arguments& arguments, const Case& given, const KernelClass& kernel_class, const Variant& variant) {
  const Standing standing = standing_of(kernel_class, variant);
  if (!arguments.has("--json")) {
    print(fmt::format("{} {}; {}\n", to_string(variant), standing_text(standing),
                      serving_text(kernel_class, variant, given.tokens)));
    return 0;
  }
  print(json_object([&](llvm::json::OStream& out) {
    attribute_known(out, given.known);
    attribute(out, "variant", to_string(variant));
    attribute(out, "legal", standing.kind != Standing::Kind::illegal);
    attribute(out, "searched", standing.kind >= Standing::Kind::searched);
    attribute(out, "candidate", standing.kind == Standing::Kind::candidate);
    attribute(out, "reason", standing.reason);
    attribute(out, "serves_by_default", to_string(default_variant_for(kernel_class, given.tokens)));
  }));
  return 0;
}

int run_variants(const Arguments& arguments) {
  const std::optional<Variant> asked =
      arguments.has("--why-not") ? std::optional(read_why_not(arguments)) : std::nullopt;
  const Case given = read_case(arguments);
  const KernelClass kernel_class = plan_of(given).kernel_class;
  if (asked) return explain(arguments, given, kernel_class, *asked);
  const std::vector<Listed> all = list_variants(kernel_class);
  print(arguments.has("--json") ? variants_json(given, kernel_class, all) : variants_table(kernel_class, all));
  return 0;
}

}  // namespace

Command variants_command() {
  return {"variants",
          "lists the ways a kernel can be computed, or says why one is not among them",
          joined({case_flags(),
                  {{"--why-not", "ID", "why this variant is not legal, not searched or no candidate (list all)"},
                   {"--json", "", "one JSON object on stdout"}}}),
          {},
          run_variants};
}

}  // namespace ropejit::internal
