#include "hf/model_json.hpp"

#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include "spec/limits.hpp"
#include "spec/names.hpp"

namespace ropejit::internal {
namespace {

void write_spec(llvm::json::OStream& out, llvm::StringRef key, const RopeSpec* spec) {
  out.attributeBegin(key);
  out.rawValue(spec != nullptr ? spec->to_json() : "null");
  out.attributeEnd();
}

// Text from a config may be no UTF-8, whose repair in LLVM's own writer is behind an assertion.
void write_layer(llvm::json::OStream& out, const ModelRopes& model, std::int64_t layer, bool indexers) {
  out.object([&] {
    out.attribute("layer", layer);
    out.attribute("kind", llvm::json::fixUTF8(model.kind(layer)));
    write_spec(out, "spec", model.find(layer));
    if (indexers) write_spec(out, "indexer", model.find(layer, RopeRole::indexer));
  });
}

void write_model(llvm::json::OStream& out, const ModelRopes& model) {
  const bool indexers = !model.specs(RopeRole::indexer).empty();
  out.attributeArray("layers", [&] {
    for (std::int64_t layer = 0; layer < model.layers(); ++layer) write_layer(out, model, layer, indexers);
  });
  const std::int64_t patches = model.layers(RopeRole::vision);
  if (patches != 0) {
    out.attributeArray("vision_layers", [&] {
      for (std::int64_t layer = 0; layer < patches; ++layer) {
        out.object([&] {
          out.attribute("layer", layer);
          write_spec(out, "spec", model.find(layer, RopeRole::vision));
        });
      }
    });
  }
  out.attributeArray("warnings", [&] {
    for (const std::string& line : model.warnings()) out.value(llvm::json::fixUTF8(line));
  });
}

}  // namespace

std::string model_ropes_to_json(const ModelRopes& model) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  {
    llvm::json::OStream out(stream, 2);
    out.object([&] { write_model(out, model); });
  }
  stream << "\n";
  stream.flush();
  return text;
}

ModelOptions read_model_options(std::string_view json) {
  constexpr IntRange kRanks{1, 65'536};
  const llvm::json::Object object = parse_json_object(json);
  const ObjectReader reader(object);
  reader.reject_unknown_keys({"as", "tp", "dtype", "max_model_len", "parity", "prologue", "round_as"});
  ModelOptions options;
  options.as = reader.find_string("as", "a model type");
  options.tp = reader.find_int("tp", kRanks).value_or(options.tp);
  options.dtype = find_enum<DType>(reader, "dtype");
  options.max_model_len = reader.find_int("max_model_len", kContextLength);
  options.parity = reader.find_bool("parity").value_or(options.parity);
  options.prologue = reader.find_bool("prologue").value_or(options.prologue);
  options.round_as = find_enum<Engine>(reader, "round_as");
  return options;
}

}  // namespace ropejit::internal
