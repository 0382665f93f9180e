// Text that is no spec and no config at all, and texts with one thing changed: an Error with one line, nothing worse.
#include "spec/bad_input.hpp"

#include <string>
#include <vector>

#include "ropejit/form.hpp"
#include "ropejit/spec.hpp"
#include "support/test_files.hpp"

using namespace ropejit;
using namespace ropejit::test;

namespace {

// Text that is no JSON object at all: the same for every reader.
std::vector<BadText> not_json() {
  std::string deep(100'000, '[');
  std::string deep_objects;
  for (int i = 0; i < 100'000; ++i) deep_objects += R"({"a":)";
  return {
      {"", "JSON", kParse},
      {" \n\t ", "JSON", kParse},
      {"{", "JSON", kParse},
      {"null", "JSON", kParse},
      {"42", "JSON", kParse},
      {"[1, 2]", "JSON", kParse},
      {"\"text\"", "JSON", kParse},
      {"{} {}", "JSON", kParse},
      {"{\"a\": 1,}", "JSON", kParse},
      {"{'a': 1}", "JSON", kParse},
      {"{\"a\": \"unfinished}", "JSON", kParse},
      {"{\"a\": \"\\", "JSON", kParse},
      {"}{", "JSON", kParse},
      {"{\"a\": [1, 2}", "JSON", kParse},
      {"{\"a\": Infinit}", "JSON", kParse},
      {"{\"a\": nan}", "JSON", kParse},
      {"{\"a\": \"\xC3\x28\"}", "JSON", kParse},
      {std::string("\0\0\0", 3), "JSON", kParse},
      {std::string("{\"a\"\0: 1}", 9), "JSON", kParse},
      {deep, "JSON", kParse},
      {"{\"a\": " + deep + std::string(100'000, ']') + "}", "JSON", kParse},
      {deep_objects, "JSON", kParse},
      {std::string((16u << 20) + 1, ' '), "JSON", kParse},
      {R"({"a": 1, "a": 1})", "a", kParse},
      {R"({"outer": [{"b": {}, "b": {}}]})", "b", kParse},
      {R"({"a": 1, "\u0061": 2})", "a", kParse},
      {R"({"\ud83d\ude00": 1, "😀": 2})", "😀", kParse},
      {R"({"\ud800": 1, "\udfff": 2})", "\uFFFD", kParse},
      {R"({"a\nb": 1, "a\nb": 2})", "a\\nb", kParse},
  };
}

// Every field that kGoodSpec leaves at its default.
const std::string kMultimodal =
    R"({"schema": 1, "layout": "interleaved", "layout_out": "split_half", "rotary_dim": 16, "max_length": 99, )"
    R"("q": {"heads": 3, "head_dim": 24, "dtype_out": "fp32"}, "axes": {"sections": [4, 2, 2], )"
    R"("order": "interleaved", "frequencies": "strided"}, "rounding": "p1", "angle": "fp32", "sine": "hardware"})";
const std::string kForm =
    R"({"placement": "out_of_place", "strides": "free", "positions": "offsets32", "angles": "cos_sin", )"
    R"("table_dtype": "fp16", "padding": "keep", "context_parallel": "zigzag", "k_rows": "rows64", "counted": true})";

}  // namespace

TEST_CASE("the texts that are changed are good ones") {
  CHECK(RopeSpec::from_json(kGoodSpec) == RopeSpec::from_hf_config(kGoodConfig));
  CHECK_NOTHROW(RopeSpec::from_json(kMultimodal));
  CHECK_NOTHROW(LaunchForm::from_json(kForm));
}

TEST_CASE("text that is not a JSON object is refused by every reader") {
  for (const BadText& row : not_json()) {
    check_refused(row, RopeSpec::from_json);
    check_refused(row, from_config);
    check_refused(row, LaunchForm::from_json);
  }
}

TEST_CASE("no truncation, deletion or change of one byte does more than throw an Error") {
  const auto survives = [](const std::string& text) {
    try {
      const LaunchForm form = LaunchForm::from_json(text);
      CHECK(LaunchForm::from_json(form.to_json()) == form);
    } catch (const Error& error) {
      if (!is_one_line(error.what())) FAIL("not one line: " << error.what());
    }
    for (const auto& read : {from_config, &RopeSpec::from_json}) {
      try {
        const RopeSpec spec = read(text);
        spec.validate();
        CHECK(RopeSpec::from_json(spec.to_json()) == spec);
      } catch (const Error& error) {
        if (!ropejit::test::is_one_line(error.what())) FAIL("not one line: " << error.what());
      }
    }
  };
  for (const std::string& text :
       {ropejit::test::read_test_file("data/models/llama-3.1-8b.json"), kGoodSpec, kMultimodal, kForm}) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      survives(text.substr(0, i));
      survives(std::string(text).erase(i, 1));
      for (const char c : {'"', '{', ']', '\\', '-', 'e', '9', '\0', '\xFF'}) {
        std::string changed = text;
        changed[i] = c;
        survives(changed);
      }
    }
  }
}
