// RopeSpec::from_hf_config and ModelRopes::from_hf_config: config.json files of models.
#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <filesystem>

#include "fuzz/fuzzer.hpp"
#include "fuzz/spec_checks.hpp"
#include "ropejit/model.hpp"
#include "support/scratch_folder.hpp"
#include "support/test_files.hpp"

namespace ropejit::test::fuzzed {
namespace {

namespace json = llvm::json;

// The "config" of every rotation in the golden file, and one of each class: of a shape that is common to all.
void add_golden_configs(std::vector<std::string>& texts) {
  llvm::Expected<json::Value> golden = json::parse(read_test_file("golden/hf_models.json"));
  require(static_cast<bool>(golden), "the goldens are JSON");
  const json::Object& all = *golden->getAsObject();
  require(
      all.getArray("rotations") != nullptr && all.getArray("classes") != nullptr && all.getObject("shape") != nullptr,
      "the goldens have rotations, classes and their shape");
  for (const json::Value& each : *all.getArray("rotations")) {
    const json::Value* config = each.getAsObject()->get("config");
    require(config != nullptr, "each rotation has a config");
    texts.push_back(llvm::formatv("{0}", *config).str());
  }
  for (const json::Value& each : *all.getArray("classes")) {
    json::Object config = *all.getObject("shape");
    config["model_type"] = each.getAsObject()->getString("model_type").value_or("llama");
    texts.push_back(llvm::formatv("{0}", json::Value(std::move(config))).str());
  }
}

// Options that follow from the input, so that it alone says what happened.
ModelOptions options_for(std::string_view input) {
  std::size_t sum = input.size();
  for (const char c : input) sum = sum * 31 + static_cast<unsigned char>(c);
  constexpr std::int64_t kRanks[] = {1, 2, 3, 8};
  constexpr std::int64_t kLengths[] = {1, 4096, 131073, std::int64_t{1} << 40};
  ModelOptions options;
  options.tp = kRanks[sum % 4];
  options.parity = sum / 4 % 2 != 0;
  if (sum / 8 % 2 != 0) options.dtype = DType::fp32;
  if (sum / 16 % 2 != 0) options.max_model_len = kLengths[sum / 32 % 4];
  if (sum / 128 % 2 != 0) options.as = sum / 256 % 2 != 0 ? "llama" : "deepseek_v3";
  options.prologue = sum / 512 % 2 != 0;
  return options;
}

void check_model(const ModelRopes& model) {
  for (const RopeRole role : {RopeRole::main, RopeRole::indexer, RopeRole::vision}) {
    accepted([&] {
      for (std::int64_t layer = 0; layer < std::min<std::int64_t>(model.layers(role), 200); ++layer) {
        static_cast<void>(model.find(layer, role));
        if (role == RopeRole::main) require(!model.kind(layer).empty(), "layers have a kind");
      }
      const std::vector<RopeSpec>& specs = model.specs(role);
      for (std::size_t i = 0; i < specs.size(); ++i) {
        check_spec(specs[i]);
        require(std::find(specs.begin(), specs.begin() + static_cast<std::ptrdiff_t>(i), specs[i]) ==
                    specs.begin() + static_cast<std::ptrdiff_t>(i),
                "each rotation once");
      }
    });
  }
  for (const std::string& line : model.warnings()) {
    require(!line.empty() && line.find('\n') == std::string::npos, "a warning is one line");
  }
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> texts;
  for (const std::string& file : files_below(test_data_dir() + "/data/models")) texts.push_back(read_text(file));
  std::sort(texts.begin(), texts.end());  // folders have no order
  add_golden_configs(texts);
  return texts;
}

void check(std::string_view input) {
  std::optional<ModelRopes> model;
  accepted([&] { model = ModelRopes::from_hf_config(input); });
  if (model) check_model(*model);

  std::optional<RopeSpec> spec;
  std::vector<std::string> warnings;
  accepted([&] { spec = RopeSpec::from_hf_config(input, &warnings); });
  if (spec) {
    check_spec(*spec);
    // A config that does not say how many layers there are is one rotation, and no model.
    if (model) require(model->single() == *spec && model->warnings() == warnings, "both readers agree");
    std::optional<RopeSpec> without;
    accepted([&] { without = RopeSpec::from_hf_config(input); });
    require(without.has_value() == warnings.empty(), "without a place for warnings there are none");
  }

  std::optional<ModelRopes> other;
  accepted([&] { other = ModelRopes::from_hf_config(input, options_for(input)); });
  if (other) check_model(*other);
}

}  // namespace ropejit::test::fuzzed
