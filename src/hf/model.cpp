#include "hf/model.hpp"

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>
#include <llvm/ADT/StringSwitch.h>

#include <map>
#include <utility>

#include "hf/family.hpp"
#include "hf/keys.hpp"
#include "hf/operands.hpp"
#include "hf/prologue.hpp"
#include "hf/rope_dict.hpp"
#include "ropejit/error.hpp"
#include "spec/limits.hpp"
#include "support/field_error.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace ropejit {
namespace internal {
namespace {

// DeepSeek-V2's code has an ordinary attention too (DeepSeek-OCR): that of a Llama.
const HfFamily& with_attention_of(const ObjectReader& config, const HfFamily& family) {
  const std::optional<bool> latent = config.find_bool("use_mla");
  if (!latent || *latent == family.latent) return family;
  if (!family.latent_flag) {
    throw field_error(ErrorCode::unsupported, config.path("use_mla"), *latent ? "true" : "false",
                      family.latent ? "true, for this model type" : "false, for this model type");
  }
  return *find_hf_family("llama");
}

double read_theta(const ObjectReader& config, const HfFamily& family, const HfRopeDict& dict) {
  if (dict.of_layer_kind && dict.theta) return dict.theta->value;
  std::optional<SourcedNumber> theta = dict.theta;
  take(theta, config, "rope_theta", kTheta);
  take(theta, config, "rotary_emb_base", kTheta);
  if (theta) return theta->value;
  if ((family.needs & needs_theta) != 0) throw missing_field(config.path("rope_theta"), kTheta.describe());
  return RopeSpec{}.theta;
}

// bf16 where the config does not say: a caller's tensors decide in the end, and may be set in the spec.
DType read_dtype(const ObjectReader& config, DType otherwise) {
  static constexpr const char* kAllowed = "bfloat16, float16, float32";
  for (const char* key : {"dtype", "torch_dtype"}) {
    const std::optional<std::string> text = config.find_string(key, kAllowed);
    if (!text) continue;
    llvm::StringRef name = *text;
    name.consume_front("torch.");
    const auto dtype = llvm::StringSwitch<std::optional<DType>>(name)
                           .Case("bfloat16", DType::bf16)
                           .Case("float16", DType::fp16)
                           .Case("float32", DType::fp32)
                           .Default(std::nullopt);
    if (!dtype) throw field_error(ErrorCode::unsupported, config.path(key), quoted(*text), kAllowed);
    return *dtype;
  }
  return otherwise;
}

}  // namespace

HfModel::HfModel(const llvm::json::Object& object, const std::optional<std::string>& as, bool lenient)
    : parts_(find_hf_parts(ObjectReader(object, {}, &log_))),
      config_(parts_.language),
      type_(read_hf_type({parts_.top, parts_.model, config_}, as, type_warnings_)),
      family_(with_attention_of(config_, *find_hf_family(type_))) {
  refuse_hf_keys(config_, family_);
  for (const ObjectReader& config : {parts_.top, parts_.model, config_}) refuse_hidden_functions(config, family_);
  layers_ = read_hf_layers(config_, family_, lenient);
  nested_dicts_ = find_nested_rope_dicts(config_, layers_);
}

bool HfModel::rotates(std::size_t layer) const {
  if (!layers_[layer].rotates) return false;
  if (!nested_dicts_)
    return layers_[layer].kind != "full_attention" || !family_.two_thetas || family_.two_thetas->full != 0;
  const llvm::json::Value* dict = nested_dicts_->object().get(layers_[layer].kind);
  return dict == nullptr || dict->kind() != llvm::json::Value::Null;
}

DType HfModel::dtype(const ModelOptions& options) const {
  return options.dtype ? *options.dtype
                       : read_dtype(config_, read_dtype(parts_.model, read_dtype(parts_.top, RopeSpec{}.dtype)));
}

std::optional<HfLayerSort> HfModel::sort(std::size_t layer, const ModelOptions& options) const {
  HfLayerSort sort{layers_[layer].kind, rotates(layer), false};
  if (!options.prologue) return sort.rotates ? std::optional(sort) : std::nullopt;
  if (!has_attention(layers_[layer]) || layers_[layer].crosses) return std::nullopt;
  const auto count = static_cast<std::int64_t>(layers_.size());
  const std::int64_t own = count - read_shared_kv_layers(config_, family_, count);
  sort.shares_kv = static_cast<std::int64_t>(layer) >= own;
  return sort;
}

void HfModel::set_rotation(const HfLayerSort& sort, const ModelOptions& options, RopeSpec& spec) const {
  spec.layout = family_.layout;
  if (family_.deinterleaves && (!family_.interleave_flag || config_.find_bool("rope_interleave").value_or(true))) {
    spec.layout = Layout::interleaved;
    spec.layout_out = Layout::split_half;
  }
  if (family_.turns_back) spec.direction = Direction::adjoint;
  const HfRopeDict dict = read_hf_rope_dict(config_, family_, nested_dicts_, sort.kind);
  spec.scaling = dict.scaling;
  spec.theta = read_theta(config_, family_, dict);
  read_hf_rotating_lanes(config_, family_, dict, spec);
  if (family_.axes) spec.axes = read_hf_axes(config_, family_, dict.sections, spec.rotary_dim);
  const bool needs_length =
      std::holds_alternative<DynamicScaling>(spec.scaling) || std::holds_alternative<LongRopeScaling>(spec.scaling);
  if (needs_length) spec.max_length = options.max_model_len;
  if (!options.parity) return;
  spec.rounding = family_.rounding;
  spec.angle = AngleRounding::fp32;
}

RopeSpec HfModel::spec(const HfLayerSort& sort, const ModelOptions& options) const {
  RopeSpec spec;
  spec.dtype = dtype(options);
  const HfHeads heads = read_hf_heads(config_, family_, sort.kind, options.tp, spec);
  if (sort.rotates) {
    set_rotation(sort, options, spec);
  } else {
    spec.rotary_dim = spec.q.head_dim;
    spec.q.rotates = spec.k->rotates = false;
  }
  if (options.prologue) {
    add_hf_prologue(config_, family_, HfPrologueLayer{type_, sort.rotates, sort.shares_kv, heads}, options, spec);
  }
  spec.validate();
  return spec;
}

// The same angles on lanes of its own.
RopeSpec HfModel::indexer_spec(const std::string& kind, const ModelOptions& options) const {
  ModelOptions of_rotation = options;
  of_rotation.prologue = false;
  RopeSpec spec = this->spec(HfLayerSort{kind}, of_rotation);
  const std::int64_t head_dim = config_.find_int("index_head_dim", kHeadDim).value_or(family_.indexer->head_dim);
  if (spec.rotary_dim > head_dim) {
    throw field_error(ErrorCode::invalid_argument, config_.path("index_head_dim"), fmt::format("{}", head_dim),
                      fmt::format("{} or more, of which {} lanes rotate", spec.rotary_dim, spec.rotary_dim));
  }
  const std::int64_t first = family_.indexer->last_lanes ? head_dim - spec.rotary_dim : 0;
  spec.q = Operand{config_.find_int("index_n_heads", kHeads).value_or(family_.indexer->heads), head_dim, first};
  spec.k = Operand{1, head_dim, first};
  spec.layout_out.reset();
  spec.layout = family_.layout;
  bool deinterleaves = family_.indexer->deinterleaves;
  if (family_.indexer->has_flag) deinterleaves = config_.find_bool("indexer_rope_interleave").value_or(deinterleaves);
  if (deinterleaves) {
    spec.layout = Layout::interleaved;
    spec.layout_out = Layout::split_half;
  }
  // The attention's, not the indexer's.
  if (auto* yarn = std::get_if<YarnScaling>(&spec.scaling)) yarn->scale_softmax = false;
  spec.validate();
  return spec;
}

std::optional<HfVision> HfModel::vision(const ModelOptions& options) const {
  const std::string type = parts_.model.find_string("model_type", "a string").value_or("");
  return read_hf_vision(parts_.model, type, dtype(options), options);
}

void HfModel::add_prologue_warnings(std::vector<std::string>& lines) const {
  for (std::string& line : unread_norm_keys(config_, family_)) lines.push_back(std::move(line));
  const auto crossing = llvm::count_if(layers_, [](const HfLayer& layer) { return layer.crosses; });
  if (crossing != 0) {
    lines.push_back(
        fmt::format("prologue: found {} of {} layers whose keys and values come from elsewhere, which have no spec",
                    crossing, layers_.size()));
  }
  if (is_v_of_k(config_, family_)) {
    lines.push_back(fmt::format(
        "{}: found true: in full layers v is k as it is projected, so launches are given k's address as v's, and k is "
        "written elsewhere than over itself",
        config_.path(family_.v_is_k_key)));
  }
}

std::vector<std::string> HfModel::warnings(ModelOptions options) const {
  std::vector<std::string> lines = type_warnings_;
  options.tp = 1;
  std::map<HfLayerSort, RopeSpec> of_sorts;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::optional<HfLayerSort> sort = this->sort(i, options);
    if (sort && of_sorts.count(*sort) == 0) of_sorts[*sort] = spec(*sort, options);
  }
  std::vector<RopeSpec> specs;
  for (auto& [sort, each] : of_sorts) specs.push_back(std::move(each));
  const std::vector<ObjectReader> configs{parts_.top, parts_.model, config_};
  // Where no layer rotates, nothing was read.
  if (!specs.empty()) {
    for (std::string& line : unread_keys(configs, log_, specs)) lines.push_back(std::move(line));
  }
  for (std::string& line : unread_rope_keys(config_, family_)) lines.push_back(std::move(line));
  for (std::string& line : unbuilt_hf_parts(parts_)) lines.push_back(std::move(line));
  if (const auto* heads = config_.peek("index_n_heads"); !family_.indexer && heads != nullptr) {
    lines.push_back(fmt::format("{}: found {}, the indexer of a family whose indexer is not known",
                                config_.path("index_n_heads"), describe(*heads)));
  }
  if (*family_.warning != '\0') lines.emplace_back(family_.warning);
  if (options.prologue) add_prologue_warnings(lines);
  return lines;
}

}  // namespace internal
}  // namespace ropejit
