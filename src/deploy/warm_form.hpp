// Launch forms as manifests name them: by runtime, or one by one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "deploy/problems.hpp"
#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "support/json.hpp"

namespace ropejit::internal {

/// A form, and what a runtime that calls so does to the spec.
struct WarmForm {
  LaunchForm form;
  bool own_table_dtype = false;           ///< the table is of the tensors' dtype, whatever that is
  bool apart = false;                     ///< q and k in launches of their own: specs of one tensor
  std::optional<Rounding> rounding = {};  ///< instead of the spec's

  friend bool operator==(const WarmForm&, const WarmForm&) = default;
};

/// The forms in which a runtime calls: those that its own function has.
struct FormPreset {
  std::string_view name;
  std::string_view about;  ///< one line
  std::vector<WarmForm> forms;
};

/// The presets: plain, vllm, sglang, hf, te, ggml.
std::span<const FormPreset> form_presets();

/// Reads a preset's name, or an object: LaunchForm's keys, in which table_dtype may be "own", and apart and rounding.
/// Appends to `forms` what is not among them. What is wrong goes to `problems`.
void read_warm_form(const llvm::json::Value& value, const std::string& where, std::vector<WarmForm>& forms,
                    Problems& problems);

/// The form for people: "in_place free ids64 cos_sin(own)".
std::string to_string(const WarmForm& form);

}  // namespace ropejit::internal
