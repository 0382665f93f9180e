#include "hf/prologue.hpp"

#include <fmt/format.h>

#include "hf/keys.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"

namespace ropejit::internal {
namespace {

Error refusal(llvm::StringRef type, const char* what) {
  return field_error(ErrorCode::unsupported, "prologue", fmt::format("{}, {}", std::string_view(type), what),
                     "families whose norm is an RMS norm of each head before the rotation, or that have none");
}

// As Python takes it: any number but 0 is true.
bool is_true(const llvm::json::Value& value) { return !says_nothing(value) && value.getAsNumber() != 0.0; }

// Whether the attention has what the family may have.
bool is_on(const ObjectReader& config, const HfNorm& norm) {
  if (*norm.if_key == '\0') return true;
  const llvm::json::Value* value = config.find(norm.if_key);
  return value == nullptr ? norm.if_absent : is_true(*value);
}

double read_eps(const ObjectReader& config, const HfNorm& norm) {
  for (const char* key : norm.eps_keys) {
    if (const auto eps = config.find_number(key, kEps)) return *eps;
  }
  return norm.eps;
}

}  // namespace

void add_hf_prologue(const ObjectReader& config, const HfFamily& family, llvm::StringRef type, bool parity,
                     RopeSpec& spec) {
  const HfNorm& norm = family.norm;
  if (family.latent) throw refusal(type, "whose attention is latent");
  if (norm.kind == HfNormKind::unknown) throw refusal(type, "whose norms are not known");
  if (norm.kind != HfNormKind::none && is_on(config, norm)) {
    if (norm.kind == HfNormKind::other) throw refusal(type, norm.what);
    spec.q.norm = Norm{read_eps(config, norm)};
    spec.k->norm = spec.q.norm;
    if (parity) spec.round_after = RoundAfter{norm.rounds_normed, true};
  }
  spec.v = Operand{spec.k->heads, spec.k->head_dim};
}

std::vector<std::string> unread_norm_keys(const ObjectReader& config, const HfFamily& family) {
  const HfNorm& norm = family.norm;
  std::vector<std::string> lines;
  for (const llvm::StringRef key :
       {"clip_qkv", "qk_layer_norms", "qk_layernorm", "qk_norm", "use_qk_layernorm", "use_qk_norm"}) {
    const llvm::json::Value* value = config.find(key);
    if (value == nullptr || key == norm.if_key) continue;
    const bool has_it = norm.kind == HfNormKind::rms_head && *norm.if_key == '\0' && key != "clip_qkv";
    if (is_true(*value) == has_it) continue;
    lines.push_back(
        fmt::format("{}: found {}, which nothing reads in a model of this type", config.path(key), describe(*value)));
  }
  return lines;
}

}  // namespace ropejit::internal
