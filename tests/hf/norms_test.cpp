// What q, k and v go through on their way to attention, layer by layer, against what transformers' own models do with
// them (golden/make_hf_norms.py).
#include <fmt/format.h>
#include <llvm/Support/raw_ostream.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/names.hpp"
#include "spec/round_points.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using ropejit::internal::IntRange;
using ropejit::internal::ObjectReader;
using ropejit::internal::PositiveRange;

namespace {

// Where a golden cannot say what the cache holds, and why.
const std::map<std::string, std::string> kPassedOver = {
    {"diffllama", "attention gets halves of v, which the cache holds whole"},
    {"hrm_text", "layers run several times over"},
    {"jetmoe", "attention gets k and v repeated, which the cache holds once"},
    {"mllama_text_model", "layers that attend to an image do not run without one"},
    {"zamba2", "a shared layer attends in place of the first ones"},
};

std::string text_of(const llvm::json::Object& object) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(llvm::json::Object(object));
  return text;
}

std::string norm_text(const Norm& norm, const RoundAfter& rounds, const char* prefix = "norm") {
  std::string text = fmt::format("{} {} {} {} {}", prefix, to_string(norm.kind), to_string(norm.span),
                                 to_string(norm.weight), norm.eps);
  if (norm.plus_one) text += " plus_one";
  if (norm.bias) text += " bias";
  if (rounds.norm && norm.weight != NormWeight::none) text += " rounds_norm";
  if (rounds.weight && norm.weight != NormWeight::none) text += " rounds_weight";
  if (rounds.norm_bias) text += " rounds_norm_bias";
  return text;
}

// One line for the stages of an operand, as ours.
std::string stages_of(const Operand& operand, bool rotates, const RoundAfter& rounds) {
  const bool turned = operand.rotates.value_or(rotates);
  std::vector<StageName> order = operand.order;
  if (order.empty()) {
    order = {StageName::norm,       StageName::clamp,  StageName::scale,
             StageName::head_scale, StageName::rotate, StageName::temperature};
  }
  std::string text;
  for (const StageName stage : order) {
    if (stage == StageName::norm && operand.norm) text += norm_text(*operand.norm, rounds) + "; ";
    if (stage == StageName::clamp && operand.clamp) text += fmt::format("clamp {}; ", *operand.clamp);
    if (stage == StageName::scale && operand.scale) {
      CHECK(rounds.scale);
      text += fmt::format("scale {:.12g}; ", *operand.scale);
    }
    if (stage == StageName::head_scale && operand.head_scales) text += "head_scale; ";
    if (stage == StageName::rotate && turned) text += "rotate; ";
    if (stage == StageName::temperature && operand.temperature) {
      const Temperature& tau = *operand.temperature;
      // Llama 4 counts the five tokens of a golden from the start, where it is 1.
      if (tau.offset == 1 && tau.length > 5) continue;
      text += fmt::format("temperature {} {} {} {}; ", tau.coefficient, tau.length, tau.offset, rounds.tau);
    }
  }
  return text;
}

// The same of a golden's list; or its word for what is none.
std::string stages_of(const llvm::json::Value& golden) {
  if (const auto word = golden.getAsString()) return word->str();
  std::string text;
  for (const llvm::json::Value& stage : *golden.getAsArray()) {
    if (const auto word = stage.getAsString()) {
      text += word->str() + "; ";
      continue;
    }
    const ObjectReader reader(*stage.getAsObject());
    if (const auto norm = reader.find_object("norm")) {
      text += fmt::format("norm {} {} {} {}", norm->get_string("kind", ""), norm->get_string("span", ""),
                          norm->get_string("weight", ""), norm->get_number("eps", PositiveRange{}));
      for (const char* flag : {"plus_one", "bias"}) {
        if (norm->find_bool(flag).value_or(false)) text += fmt::format(" {}", flag);
      }
      const bool weighted = norm->get_string("weight", "") != "none";
      for (const llvm::json::Value& point : *norm->find("rounds")->getAsArray()) {
        if (weighted) text += fmt::format(" rounds_{}", std::string_view(*point.getAsString()));
      }
      text += "; ";
    } else if (const auto tau = reader.find_object("temperature")) {
      text += fmt::format("temperature {} {} {} {}; ", tau->get_number("coefficient", PositiveRange{}),
                          tau->get_int("length", IntRange{}), tau->get_int("offset", IntRange{}),
                          *tau->find_bool("rounded"));
    } else if (const auto clamp = reader.find_number("clamp", PositiveRange{})) {
      text += fmt::format("clamp {}; ", *clamp);
    } else {
      text += fmt::format("scale {:.12g}; ", reader.get_number("scale", PositiveRange{}));
    }
  }
  return text;
}

struct Sort {
  std::string q, k, v;
};

Sort sort_of(const RopeSpec& spec) {
  const auto of = [&](const std::optional<Operand>& operand, bool rotates) {
    return operand ? stages_of(*operand, rotates, spec.round_after) : "shared";
  };
  return Sort{of(spec.q, true), of(spec.k, true), of(spec.v, false)};
}

llvm::json::Object dict_of(std::vector<std::int64_t> sections, double fraction) {
  llvm::json::Object dict{{"rope_type", "default"}, {"rope_theta", 5e5}, {"partial_rotary_factor", fraction}};
  if (!sections.empty()) dict["mrope_section"] = llvm::json::Array(sections);
  return dict;
}

// The model, with what its class leaves to the code and what has no say in its prologue; nothing, and why, where it is
// not read.
std::optional<ModelRopes> read(const llvm::json::Object& config, std::string& why) {
  ModelOptions options;
  options.prologue = true;
  options.parity = true;
  using llvm::json::Object;
  const Object more[] = {
      Object{},
      Object{{"rope_theta", 5e5}},
      Object{{"partial_rotary_factor", 0.5}},
      Object{{"rope_theta", 5e5}, {"partial_rotary_factor", 0.5}},
      Object{{"rope_parameters", dict_of({}, 1)}},
      Object{{"rope_parameters", dict_of({4, 2, 2}, 1)}},
      Object{{"rope_parameters", dict_of({1, 1, 0}, 0.25)}},
      Object{{"rotary_emb_base", 5e5}, {"rotary_pct", 0.5}},
  };
  for (const llvm::json::Object& fields : more) {
    llvm::json::Object whole = config;
    for (const auto& member : fields) whole.try_emplace(member.first, member.second);
    try {
      return ModelRopes::from_hf_config(text_of(whole), options);
    } catch (const Error& error) {
      why = error.what();
      if (why.find("prologue: found") != std::string::npos) return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("what q, k and v go through is what transformers' own models do with them, in every layer, or is refused") {
  const llvm::json::Object whole = internal::parse_json_object(ropejit::test::read_test_file("golden/hf_norms.json"));
  const llvm::json::Array* cases = whole.getArray("cases");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 130);
  std::map<std::string, int> counts;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    const llvm::json::Object& config = reader.get_object("config").object();
    const std::string type = reader.get_object("config").get_string("model_type", "");
    INFO(text_of(config));
    if (kPassedOver.count(type) != 0) continue;
    std::string why;
    const std::optional<ModelRopes> model = read(config, why);
    const llvm::json::Array& sorts = *reader.find("sorts")->getAsArray();
    const llvm::json::Array& layers = *reader.find("layers")->getAsArray();
    if (!model) {
      ++counts[why.find("prologue: found") != std::string::npos ? "refused" : "not read"];
      INFO(why);
      // What every stage is known of is built, but for the rotation itself.
      bool known = true;
      for (const llvm::json::Value& sort : sorts) {
        for (const char* name : {"q", "k", "v"}) known = known && stages_of(*sort.getAsObject()->get(name)) != "other";
      }
      CHECK((!known || why.find("prologue: found") == std::string::npos ||
             why.find("negative angle") != std::string::npos || why.find("latent") != std::string::npos));
      continue;
    }
    std::vector<std::int64_t> with_attention;
    for (std::int64_t layer = 0; layer < model->layers(); ++layer) {
      if (model->find(layer) != nullptr) with_attention.push_back(layer);
    }
    REQUIRE(with_attention.size() == layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto index = static_cast<std::size_t>(*layers[i].getAsInteger());
      const llvm::json::Object& golden = *sorts[index].getAsObject();
      const RopeSpec& spec = *model->find(with_attention[i]);
      INFO("layer " << with_attention[i] << ": " << spec.to_string());
      const Sort ours = sort_of(spec);
      CHECK(ours.q == stages_of(*golden.get("q")));
      CHECK(ours.k == stages_of(*golden.get("k")));
      CHECK(ours.v == stages_of(*golden.get("v")));
      for (const std::string* stages : {&ours.q, &ours.k, &ours.v}) {
        for (const char* word : {"norm rms head lanes", "norm rms head none", "norm rms token", "norm layer",
                                 "plus_one", "temperature", "clamp", "scale", "shared"}) {
          counts[word] += stages->find(word) != std::string::npos ? 1 : 0;
        }
        if (stages->empty()) ++counts["nothing"];
      }
    }
  }
  for (const auto& [what, count] : counts) UNSCOPED_INFO(what << " " << count);
  for (const char* what : {"norm rms head lanes", "norm rms head none", "norm rms token", "norm layer", "plus_one",
                           "temperature", "clamp", "scale", "shared", "nothing"}) {
    INFO(what);
    CHECK(counts[what] >= 8);
  }
  CHECK(4 * (counts["refused"] + counts["not read"]) < static_cast<int>(cases->size()));
}
