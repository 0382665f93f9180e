// LaunchForm::from_json, and forms lowered with specs of every kind.
#include <random>

#include "fuzz/fuzzer.hpp"
#include "fuzz/spec_checks.hpp"
#include "support/random_spec.hpp"

namespace ropejit::test::fuzzed {
namespace {

std::vector<RopeSpec> some_specs() {
  std::mt19937_64 random(2);
  std::vector<RopeSpec> specs;
  for (int i = 0; i < 8; ++i) specs.push_back(random_spec(random));
  for (const std::string& text : staged_specs()) specs.push_back(RopeSpec::from_json(text));
  return specs;
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> texts = {
      "{}",
      R"({"placement": "out_of_place", "strides": "free", "positions": "ids32", "padding": "zero"})",
      R"({"positions": "ragged", "context_parallel": "zigzag", "padding": "keep", "overlaps_previous": true})",
      R"({"positions": "offsets64", "context_parallel": "contiguous", "k_rows": "rows32", "counted": true})",
      R"({"positions": "offsets32", "k_rows": "rows64", "k_beside": true, "norm_statistics": true})",
      R"({"positions": "ids32", "k_rows": "page_lists", "token_requests": "ids32", "token_places": "ids64"})",
      R"({"k_rows": "slots32", "v_rows": "block_table", "v_beside": true, "k_split": true})",
      R"({"positions": "ids64", "norm_statistics": true, "norm_sums": true, "statistics_only": true})",
      R"({"positions": "start", "angles": "radians", "table_dtype": "fp32", "strides": "contiguous"})"};
  for (const AngleSource source : {AngleSource::half, AngleSource::full, AngleSource::repeated, AngleSource::complex,
                                   AngleSource::cos_sin, AngleSource::computed}) {
    LaunchForm form = LaunchForm::out_of_place_ids();
    form.angles = source;
    texts.push_back(form.to_json());
  }
  texts.push_back(LaunchForm::in_place_start().with_table(AngleSource::half, DType::bf16).to_json());
  texts.push_back(LaunchForm::in_place_start().with_table(AngleSource::cos_sin, DType::fp16).to_json());
  return texts;
}

void check(std::string_view input) {
  LaunchForm form;
  if (!accepted([&] { form = LaunchForm::from_json(input); })) return;
  const std::string text = form.to_json();
  const LaunchForm again = LaunchForm::from_json(text);
  require(again == form, "a form's JSON reads back as the form");
  require(again.to_json() == text, "equal forms have one JSON");
  static const std::vector<RopeSpec> specs = some_specs();
  for (const RopeSpec& spec : specs) check_lowering(spec, form);
}

}  // namespace ropejit::test::fuzzed
