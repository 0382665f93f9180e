// Models against what Hugging Face transformers' own code does with them (golden/make_hf_models.py): lanes, axes,
// directions, roundings, and what its classes have where a config says nothing.
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "hf/family.hpp"
#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "spec/axes.hpp"
#include "spec/frequencies.hpp"
#include "support/catch.hpp"
#include "support/json.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::internal;

namespace {

const llvm::json::Object& golden() {
  static const llvm::json::Object object = parse_json_object(ropejit::test::read_test_file("golden/hf_models.json"));
  return object;
}

std::string text_of(const llvm::json::Value& value) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << value;
  return out.str();
}

std::vector<double> numbers(const llvm::json::Value& value) {
  std::vector<double> result;
  for (const llvm::json::Value& element : *value.getAsArray()) result.push_back(*element.getAsNumber());
  return result;
}

struct Lanes {
  std::size_t a;
  std::size_t b;
};

// The lanes of pair i among those that rotate, by the words of ropejit/spec.hpp.
Lanes lanes_of(const RopeSpec& spec, Layout layout, std::size_t i) {
  const auto rotary_dim = static_cast<std::size_t>(spec.rotary_dim);
  if (layout == Layout::interleaved) return {2 * i, 2 * i + 1};
  if (layout == Layout::split_half) return {i, i + rotary_dim / 2};
  const std::size_t lanes = rotary_dim / spec.axes.sections.size();
  const std::size_t first = i / (lanes / 2) * lanes;
  return {first + i % (lanes / 2), first + i % (lanes / 2) + lanes / 2};
}

// A head's lanes after the rotation of the spec, in fp64.
std::vector<double> rotated(const RopeSpec& spec, std::vector<double> x, const std::vector<double>& positions) {
  const Frequencies data = frequencies(spec);
  const std::vector<PairAxis> axes = pair_axes(spec);
  const bool slice = x.size() == static_cast<std::size_t>(spec.rotary_dim);
  const std::size_t first = slice ? 0 : static_cast<std::size_t>(spec.q.first_lane);
  std::vector<double> out = x;
  REQUIRE((spec.direction == Direction::forward || spec.direction == Direction::adjoint));
  const double sign = spec.direction == Direction::forward ? 1 : -1;
  for (std::size_t i = 0; i < data.inv_freq.size(); ++i) {
    REQUIRE(axes[i].axis < positions.size());
    const double t = sign * positions[axes[i].axis] * data.inv_freq[i];
    const Lanes in = lanes_of(spec, spec.layout, i);
    const Lanes to = lanes_of(spec, spec.layout_out.value_or(spec.layout), i);
    const double xa = x.at(first + in.a);
    const double xb = x.at(first + in.b);
    out.at(first + to.a) = data.attention_scale * (xa * std::cos(t) - xb * std::sin(t));
    out.at(first + to.b) = data.attention_scale * (xb * std::cos(t) + xa * std::sin(t));
  }
  return out;
}

RopeRole role_of(const std::string& name) {
  if (name == "main") return RopeRole::main;
  if (name == "indexer") return RopeRole::indexer;
  REQUIRE(name == "vision");
  return RopeRole::vision;
}

}  // namespace

TEST_CASE(
    "models turn the lanes that transformers' own code turns, by the same angles and in the same order of rounding") {
  const llvm::json::Array* cases = golden().getArray("rotations");
  REQUIRE(cases != nullptr);
  REQUIRE(cases->size() >= 65);
  std::set<std::string> seen;
  for (const llvm::json::Value& value : *cases) {
    const ObjectReader reader(*value.getAsObject());
    const std::string role = reader.get_string("role", "");
    INFO(reader.get_string("name", "") << ", " << role);
    ModelOptions options;
    options.parity = true;
    const ModelRopes model = ModelRopes::from_hf_config(text_of(*reader.find("config")), options);
    const RopeSpec* found = model.find(reader.get_int("layer", {}), role_of(role));
    REQUIRE(found != nullptr);
    INFO(found->to_string());
    CHECK(std::string(to_string(found->rounding)) == reader.get_string("rounding", ""));
    CHECK(found->angle == AngleRounding::fp32);
    RopeSpec spec = *found;
    spec.angle = AngleRounding::exact;
    const std::vector<double> in = numbers(*reader.find("in"));
    const llvm::json::Array& outs = *reader.find("out")->getAsArray();
    const llvm::json::Array& positions = *reader.find("positions")->getAsArray();
    REQUIRE(outs.size() == positions.size());
    REQUIRE(!in.empty());
    for (std::size_t token = 0; token < outs.size(); ++token) {
      const std::vector<double> theirs = numbers(outs[token]);
      const std::vector<double> ours = rotated(spec, in, numbers(positions[token]));
      REQUIRE(ours.size() == theirs.size());
      for (std::size_t lane = 0; lane < ours.size(); ++lane) {
        INFO("token " << token << " lane " << lane << ": " << ours[lane] << " for " << theirs[lane]);
        // Their angles are fp32: up to 113 radians.
        CHECK(std::fabs(ours[lane] - theirs[lane]) < 1e-4 * (1 + std::fabs(theirs[lane])));
      }
    }
    seen.insert(std::string(to_string(spec.layout)) + to_string(spec.axes.order) + to_string(spec.axes.frequencies));
  }
  CHECK(seen.size() >= 7);
}

namespace {

// The config of a class's case: the shape, what is said, and the type.
std::string config_of(const llvm::json::Object& shape, const llvm::json::Object& said, const std::string& type) {
  llvm::json::Object config = shape;
  for (const auto& member : said) config[member.first] = member.second;
  config["model_type"] = type;
  return text_of(llvm::json::Value(std::move(config)));
}

// Of each layer that rotates: what the class has for its kind.
void check_layers(const std::string& type, const ModelRopes& model, const ObjectReader& kinds, bool says_fraction) {
  for (std::int64_t layer = 0; layer < model.layers(); ++layer) {
    const RopeSpec* spec = model.find(layer);
    if (spec == nullptr) continue;
    INFO(model.kind(layer) << ": " << spec->to_string());
    std::string kind = kinds.has("") ? "" : model.kind(layer);
    if (kinds.has("compress")) kind = kind == "sliding_attention" ? "main" : "compress";  // DeepSeek-V4's own names
    REQUIRE(kinds.has(kind));
    const llvm::json::Array& has = *kinds.find(kind)->getAsArray();
    REQUIRE(has.size() == 6);
    const auto number = [&](std::size_t i) { return static_cast<std::int64_t>(*has[i].getAsNumber()); };
    CHECK(spec->theta == *has[0].getAsNumber());
    const auto* proportional = std::get_if<ProportionalScaling>(&spec->scaling);
    const std::string rule = has[1].getAsString()->str();
    CHECK((proportional != nullptr) == (rule == "proportional"));
    CHECK(std::holds_alternative<NoScaling>(spec->scaling) == (rule == "default"));
    const double lanes = static_cast<double>(spec->rotary_dim);
    // Most classes do not know a fraction that a config says: other runtimes do.
    if (!says_fraction || number(2) != number(5)) {
      CHECK((proportional ? proportional->partial_rotary_factor * lanes : lanes) == static_cast<double>(number(2)));
    }
    CHECK(spec->q.heads == number(3));
    if (spec->k->heads == 1 && spec->k->head_dim != spec->q.head_dim) continue;  // the row of latent attention
    // A number that MiMo-V2-Flash's attention doubles in sliding layers.
    const bool doubles = type == "mimo_v2_flash" && kind == "sliding_attention";
    CHECK(spec->k->heads == (doubles ? 2 * number(4) : number(4)));
    CHECK(spec->q.head_dim == number(5));
  }
}

}  // namespace

TEST_CASE("a config that leaves values out is refused, or gets what the class of its model type has") {
  const ObjectReader whole(golden());
  const llvm::json::Array& variants = *whole.find("variants")->getAsArray();
  const llvm::json::Array& classes = *whole.find("classes")->getAsArray();
  REQUIRE(variants.size() >= 7);
  REQUIRE(classes.size() >= 200);
  std::vector<std::size_t> read(variants.size(), 0);
  for (const llvm::json::Value& value : classes) {
    const ObjectReader reader(*value.getAsObject());
    const llvm::json::Array& of = *reader.find("of")->getAsArray();
    REQUIRE(of.size() == variants.size());
    for (std::size_t i = 0; i < of.size(); ++i) {
      if (of[i].getAsObject() == nullptr) continue;
      const std::string text = config_of(whole.get_object("shape").object(), *variants[i].getAsObject(),
                                         reader.get_string("model_type", ""));
      INFO(text);
      std::optional<ModelRopes> model;
      try {
        model = ModelRopes::from_hf_config(text);
      } catch (const Error&) {
        continue;
      }
      ++read[i];
      const bool says_fraction = variants[i].getAsObject()->get("partial_rotary_factor") != nullptr;
      check_layers(reader.get_string("model_type", ""), *model, ObjectReader(*of[i].getAsObject()), says_fraction);
    }
  }
  for (std::size_t i = 0; i < read.size(); ++i) {
    INFO("variant " << i);
    CHECK(read[i] >= 20);
  }
}

TEST_CASE("the layout of every model type is that of its own rotate functions") {
  std::map<std::string, std::size_t> seen;
  for (const llvm::json::Value& value : *golden().getArray("classes")) {
    const ObjectReader reader(*value.getAsObject());
    const auto layout = reader.find_string("layout", "");
    const std::string type = reader.get_string("model_type", "");
    if (!layout || hf_refusal(type) != nullptr) continue;
    INFO(type << ": " << *layout);
    ++seen[*layout];
    const HfFamily* family = find_hf_family(type);
    REQUIRE(family != nullptr);
    CHECK(family->deinterleaves == (*layout == "deinterleaved"));
    CHECK(family->turns_back == (*layout == "reversed"));
    CHECK((family->layout == Layout::interleaved) == (*layout == "interleaved"));
  }
  CHECK(seen["split_half"] >= 90);
  CHECK(seen["interleaved"] >= 12);
  CHECK(seen["deinterleaved"] >= 9);
  CHECK(seen["reversed"] == 1);
}
