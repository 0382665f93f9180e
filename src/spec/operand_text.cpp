#include "spec/operand_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include "spec/names.hpp"

namespace ropejit::internal {
namespace {

// " norm 1e-06", " norm layer 1e-05 fp32 weights and biases": what is not the default, and eps where it is used.
std::string norm_text(const Norm& norm) {
  std::string text = " norm";
  if (norm.kind != NormKind::rms) text += fmt::format(" {}", to_string(norm.kind));
  if (norm.statistic == Statistic::given) text += " of given r";
  if (norm.statistic == Statistic::given_sum) text += " of given sums";
  if (norm.statistic != Statistic::given) text += fmt::format(" {}", norm.eps);
  if (norm.span == NormSpan::token) text += " over the token";
  if (norm.global_heads != 0) text += fmt::format(" of {} heads", norm.global_heads);
  if (norm.lanes != 0) {
    // Unsigned, as a spec that is not valid has a text, too.
    const std::uint64_t end = static_cast<std::uint64_t>(norm.first_lane) + static_cast<std::uint64_t>(norm.lanes);
    text += fmt::format(" lanes {} to {}", norm.first_lane, static_cast<std::int64_t>(end - 1));
  } else if (norm.first_lane != 0) {
    text += fmt::format(" lanes from {}", norm.first_lane);
  }
  if (norm.weight_dtype) text += fmt::format(" {} weights", to_string(*norm.weight_dtype));
  if (norm.weight == NormWeight::heads) text += " by head";
  if (norm.weight == NormWeight::none) text += " without weights";
  if (norm.plus_one) text += " plus one";
  if (norm.bias) text += " with biases";
  return text;
}

std::string temperature_text(const Temperature& temperature) {
  return fmt::format(" temperature({}, {} {}{})", temperature.coefficient,
                     temperature.steps ? "steps of" : "smooth from", temperature.length,
                     temperature.offset != 0 ? fmt::format(", offset {}", temperature.offset) : "");
}

}  // namespace

std::string operand_to_string(const Operand& operand) {
  std::string text = fmt::format("{}x{}", operand.heads, operand.head_dim);
  if (operand.first_lane != 0) text += fmt::format("+{}", operand.first_lane);
  if (operand.dtype_out) text += fmt::format(" to {}", to_string(*operand.dtype_out));
  if (operand.norm) text += norm_text(*operand.norm);
  if (operand.rotates) text += fmt::format(" rotates={}", *operand.rotates);
  if (operand.bias) text += " bias";
  if (operand.clamp) text += fmt::format(" clamp {}", *operand.clamp);
  if (operand.scale) text += fmt::format(" scale {}", *operand.scale);
  if (operand.head_scales) text += " head_scales";
  if (operand.temperature) text += temperature_text(*operand.temperature);
  if (!operand.order.empty()) {
    const auto words = llvm::map_range(operand.order, [](StageName one) { return to_string(one); });
    text += fmt::format(" order({})", fmt::join(words, ", "));
  }
  return text;
}

}  // namespace ropejit::internal
