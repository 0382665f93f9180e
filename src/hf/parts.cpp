#include "hf/parts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>
#include <llvm/ADT/StringExtras.h>

#include <map>
#include <optional>

#include "hf/family.hpp"
#include "ropejit/error.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

// What holds the parts where the top does not: the part that understands, the model that an adapter is laid around, the
// one that speaks.
constexpr llvm::StringLiteral kWrappers[] = {"thinker_config", "vlm_config", "talker_config"};
// The language model among the parts, under its names.
constexpr llvm::StringLiteral kLanguage[] = {"text_config", "llm_config", "language_config", "decoder_config",
                                             "decoder"};

// What may be said twice, and must then be the same.
constexpr const char* kSaidTwice[] = {
    "head_dim",
    "hidden_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "partial_rotary_factor",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "use_mla",
};

// A part that rotates, as the class of its model has it where a file leaves the part's type or the part out.
struct PartRow {
  llvm::StringLiteral model_type;
  llvm::StringLiteral key;
  llvm::StringLiteral part_type;
};

constexpr PartRow kParts[] = {
    {"blt", "encoder_config", "blt_local_encoder"},
    {"blt", "global_config", "blt_global_transformer"},
    {"blt", "patcher_config", "blt_patcher"},
    {"csm", "codec_config", "mimi"},
    {"csm", "depth_decoder_config", "csm_depth_decoder_model"},
    {"dia", "encoder_config", "dia_encoder"},
    {"glmasr", "audio_config", "glmasr_encoder"},
    {"kyutai_speech_to_text", "codec_config", "mimi"},
    {"moshi", "audio_encoder_config", "mimi"},
    {"pi0", "dit_config", "gemma"},
    {"qwen2_5_omni", "talker_config", "qwen2_5_omni_talker"},
    {"qwen2_5_omni", "token2wav_config", "qwen2_5_omni_token2wav"},
    {"qwen3_omni_moe", "code2wav_config", "qwen3_omni_moe_code2wav"},
    {"qwen3_omni_moe", "talker_config", "qwen3_omni_moe_talker"},
    {"voxtral_realtime", "audio_config", "voxtral_realtime_encoder"},
};

// Parts that transformers 5.24 has without a rotation, beside the types of has_no_rope().
constexpr llvm::StringLiteral kStillParts[] = {
    "audioflamingo3_encoder",
    "blip_2_qformer",
    "chameleon_vqgan",
    "emu3_vqgan",
    "fun_asr_nano_encoder",
    "gemma3n_audio",
    "gemma4_audio",
    "glm_image_vqmodel",
    "granite_speech_encoder",
    "granite_speech_plus_encoder",
    "idefics2_perceiver",
    "idefics_perciever",
    "instructblip_qformer",
    "instructblipvideo_qformer",
    "janus_vqgan",
    "mlp_projector",
    "molmo2_adapter",
    "moonshine_streaming_encoder",
    "moshi_depth",
    "moss_transcribe_diarize_audio",
    "omniasr_audio",
    "phi4_multimodal_audio",
    "qwen2_5_omni_audio_encoder",
    "qwen2_audio_encoder",
    "qwen3_asr_encoder",
    "qwen3_omni_moe_audio_encoder",
    "vibevoice_diffusion",
    "voxtral_encoder",
};

bool describes_layers(const ObjectReader& config) {
  return config.peek("num_attention_heads") != nullptr || config.peek("n_head") != nullptr;
}

std::optional<ObjectReader> first_object(const ObjectReader& config, llvm::ArrayRef<llvm::StringLiteral> keys) {
  for (const llvm::StringRef key : keys) {
    if (auto object = config.find_object(key)) return object;
  }
  return std::nullopt;
}

// The members that are objects, by name. To look at them is no reading.
std::map<std::string, ObjectReader> objects_of(const ObjectReader& config) {
  std::map<std::string, ObjectReader> objects;
  for (const auto& member : config.object()) {
    const std::string key = llvm::StringRef(member.first).str();
    if (const auto* object = member.second.getAsObject())
      objects.emplace(key, ObjectReader(*object, config.path(key) + "."));
  }
  return objects;
}

void require_layers(const HfParts& parts) {
  if (&parts.language.object() != &parts.top.object() || describes_layers(parts.top)) return;
  std::vector<std::string> others;
  for (const auto& [key, object] : objects_of(parts.top)) {
    if (describes_layers(object)) others.push_back(excerpt(key));
  }
  if (others.empty()) return;
  throw field_error(ErrorCode::unsupported, "text_config",
                    fmt::format("nothing, but {} with attention of its own", fmt::join(others, ", ")),
                    fmt::format("one of {}, or such an object as a config.json of its own",
                                llvm::join(llvm::ArrayRef(kLanguage), ", ")));
}

void require_one_tale(const HfParts& parts) {
  if (!describes_layers(parts.model)) return;
  for (const char* name : {"text_config", "llm_config", "language_config"}) {
    const std::optional<ObjectReader> again = parts.model.find_object(name);
    if (!again) continue;
    for (const char* key : kSaidTwice) {
      const llvm::json::Value* value = again->peek(key);
      const llvm::json::Value* outer = parts.model.peek(key);
      if (value == nullptr || (outer != nullptr && *outer == *value)) continue;
      throw field_error(ErrorCode::unsupported, again->path(key), describe(*value),
                        fmt::format("the same as {}, which is {}", parts.model.path(key),
                                    outer == nullptr ? "absent" : describe(*outer)));
    }
  }
}

bool speaks_of_rope(const ObjectReader& config, int depth) {
  for (const auto& member : config.object()) {
    const llvm::StringRef key = member.first;
    const llvm::json::Value& value = member.second;
    const bool set = value.kind() != llvm::json::Value::Null && value.getAsBoolean() != false;
    if (set && (key.contains("rope") || key.contains("rotary"))) return true;
    if (const auto text = value.getAsString(); key == "position_embedding_type" && text) {
      if (*text == "rope" || *text == "rotary") return true;
    }
    if (depth > 0 && value.getAsObject() != nullptr && speaks_of_rope(ObjectReader(*value.getAsObject()), depth - 1)) {
      return true;
    }
  }
  return false;
}

const PartRow* find_row(llvm::StringRef model_type, llvm::StringRef key) {
  const auto* row =
      llvm::find_if(kParts, [&](const PartRow& part) { return part.model_type == model_type && part.key == key; });
  return row == std::end(kParts) ? nullptr : row;
}

// Whether a part of that type has a rotation of its own, by the tables; nothing for a type that no table knows.
std::optional<bool> rotates(llvm::StringRef part_type) {
  const bool in_table = llvm::any_of(kParts, [&](const PartRow& part) { return part.part_type == part_type; });
  if (in_table || find_hf_family(part_type) != nullptr) return true;
  return llvm::is_contained(kStillParts, part_type) || has_no_rope(part_type) ? std::optional(false) : std::nullopt;
}

// Members that are no parts, or have a place of their own.
bool is_no_part(llvm::StringRef key) {
  return has_word("rope_parameters rope_scaling per_layer_config vision_config", key);
}

// The words of a line for a part of that type, empty: nothing to tell.
std::string why_told(const std::string& part_type, const ObjectReader& part) {
  const std::optional<bool> known = rotates(part_type);
  if (known == true) {
    return fmt::format(
        "found {}, whose rotation is not built{}", quoted(part_type),
        find_hf_family(part_type) != nullptr ? "; that object can be read as a config.json of its own" : "");
  }
  if (speaks_of_rope(part, 2)) return "found an object that speaks of a rotation, which is not built";
  if (known || part_type.empty()) return {};
  return fmt::format("found {}, a part that is not known: if it rotates, that is not built", quoted(part_type));
}

void add_unbuilt(const ObjectReader& holder, const HfParts& parts, std::map<std::string, std::string>& lines) {
  const std::string type = holder.find_string("model_type", "a string").value_or("");
  for (const auto& [key, part] : objects_of(holder)) {
    const llvm::json::Object* object = &part.object();
    if (object == &parts.model.object() || object == &parts.language.object() || is_no_part(key)) continue;
    if (llvm::is_contained(kLanguage, key) && describes_layers(holder)) continue;  // said twice: require_one_tale
    const PartRow* row = find_row(type, key);
    std::string part_type = part.find_string("model_type", "a string").value_or("");
    if (part_type.empty() && row != nullptr) part_type = row->part_type.str();
    std::string told = why_told(part_type, part);
    const std::string field = excerpt(holder.path(key));
    if (!told.empty()) lines[field] = fmt::format("{}: {}", field, told);
  }
  for (const PartRow& row : kParts) {
    if (row.model_type != type || holder.has(row.key)) continue;
    const std::string field = excerpt(holder.path(row.key));
    lines[field] =
        fmt::format("{}: found nothing, which stands for {}, whose rotation is not built", field, row.part_type.str());
  }
}

}  // namespace

HfParts find_hf_parts(const ObjectReader& top) {
  const ObjectReader model = describes_layers(top) ? top : first_object(top, kWrappers).value_or(top);
  const ObjectReader language = describes_layers(model) ? model : first_object(model, kLanguage).value_or(model);
  HfParts parts{top, model, language};
  require_layers(parts);
  require_one_tale(parts);
  return parts;
}

std::vector<std::string> unbuilt_hf_parts(const HfParts& parts) {
  std::map<std::string, std::string> lines;
  add_unbuilt(parts.top, parts, lines);
  if (&parts.model.object() != &parts.top.object()) add_unbuilt(parts.model, parts, lines);
  std::vector<std::string> result;
  for (auto& [field, line] : lines) result.push_back(std::move(line));
  return result;
}

}  // namespace ropejit::internal
