#include "deploy/warm_form.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>

#include "spec/names.hpp"
#include "spec/read_spec.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kOwn = "own";

WarmForm computed(Placement placement, PositionSource positions) {
  return {LaunchForm{placement, Strides::free, positions}};
}

WarmForm with_table(WarmForm form, AngleSource angles, bool own_dtype) {
  form.form.angles = angles;
  form.own_table_dtype = own_dtype;
  return form;
}

WarmForm apart(WarmForm form) {
  form.apart = true;
  return form;
}

WarmForm rounded(WarmForm form, Rounding rounding) {
  form.rounding = rounding;
  return form;
}

std::vector<FormPreset> make_presets() {
  constexpr auto in_place = Placement::in_place;
  constexpr auto out_of_place = Placement::out_of_place;
  return {
      {"plain",
       "tensors without gaps, in place: int64 positions, or counted from a start",
       {{LaunchForm::in_place_ids()}, {LaunchForm::in_place_start()}}},
      {"vllm",
       "flat tokens in place, views of one qkv tensor, int64 positions; computed, or the cos_sin cache in the model's "
       "dtype",
       {computed(in_place, PositionSource::ids64),
        with_table(computed(in_place, PositionSource::ids64), AngleSource::cos_sin, true)}},
      {"sglang",
       "as vllm, with a cos_sin cache in fp32",
       {computed(in_place, PositionSource::ids64),
        with_table(computed(in_place, PositionSource::ids64), AngleSource::cos_sin, false)}},
      {"hf",
       "transformers' apply_rotary_pos_emb: out of place, cos and sin of the model's dtype for each token, rounded as "
       "torch rounds",
       {rounded(with_table(computed(out_of_place, PositionSource::start), AngleSource::full, true), Rounding::p1)}},
      {"te",
       "TransformerEngine's fused_rope: one tensor out of place, fp32 angles; padded, or sequences one after another",
       {apart(with_table(computed(out_of_place, PositionSource::start), AngleSource::radians, false)),
        apart(with_table(computed(out_of_place, PositionSource::ragged), AngleSource::radians, false))}},
      {"ggml",
       "ggml_rope: one tensor, int32 positions, computed; out of place and in place",
       {apart(computed(out_of_place, PositionSource::ids32)), apart(computed(in_place, PositionSource::ids32))}},
  };
}

std::string names_of_presets() {
  std::vector<std::string_view> names;
  for (const FormPreset& preset : form_presets()) names.push_back(preset.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

void append(const WarmForm& form, std::vector<WarmForm>& forms) {
  if (!llvm::is_contained(forms, form)) forms.push_back(form);
}

WarmForm read_object(llvm::json::Object object) {
  WarmForm form;
  const llvm::json::Value* dtype = object.get("table_dtype");
  form.own_table_dtype = dtype != nullptr && dtype->getAsString() == llvm::StringRef(kOwn.data(), kOwn.size());
  if (form.own_table_dtype) object.erase("table_dtype");
  const ObjectReader reader(object);
  form.form = read_form(reader, {"apart", "rounding"});
  form.apart = reader.find_bool("apart").value_or(false);
  form.rounding = find_enum<Rounding>(reader, "rounding");
  return form;
}

}  // namespace

std::span<const FormPreset> form_presets() {
  static const std::vector<FormPreset> presets = make_presets();
  return presets;
}

void read_warm_form(const llvm::json::Value& value, const std::string& where, std::vector<WarmForm>& forms,
                    Problems& problems) {
  if (const llvm::json::Object* object = value.getAsObject()) {
    problems.attempt(where, [&] { append(read_object(*object), forms); });
    return;
  }
  if (const auto name = value.getAsString()) {
    for (const FormPreset& preset : form_presets()) {
      if (*name != llvm::StringRef(preset.name.data(), preset.name.size())) continue;
      for (const WarmForm& form : preset.forms) append(form, forms);
      return;
    }
  }
  problems.add(
      fmt::format("{}: found {}, allowed: {}, or a form's object", where, describe(value), names_of_presets()));
}

std::string to_string(const WarmForm& form) {
  std::string text = fmt::format("{} {} {}", to_string(form.form.placement), to_string(form.form.strides),
                                 to_string(form.form.positions));
  if (form.form.angles != AngleSource::computed) {
    text += fmt::format(" {}({})", to_string(form.form.angles),
                        form.own_table_dtype ? kOwn : std::string_view(to_string(form.form.table_dtype)));
  }
  if (form.rounding) text += fmt::format(" {}", to_string(*form.rounding));
  if (form.apart) text += " apart";
  return text;
}

}  // namespace ropejit::internal
