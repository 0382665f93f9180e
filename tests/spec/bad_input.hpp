// Texts that are right, and what must come of those that are not: an Error with one line that names the field.
#pragma once

#include <string>
#include <string_view>

#include "hf/sample_config.hpp"
#include "ropejit/error.hpp"
#include "ropejit/spec.hpp"
#include "spec/errors.hpp"
#include "support/catch.hpp"

namespace ropejit::test {

inline constexpr auto kParse = ErrorCode::parse_error;
inline constexpr auto kRange = ErrorCode::invalid_argument;
inline constexpr auto kUnsupported = ErrorCode::unsupported;

struct BadText {
  std::string json;
  const char* field;
  ErrorCode code;
};

/// `read` throws what the row says.
template <class Read>
void check_refused(const BadText& row, const Read& read) {
  INFO(row.json.substr(0, 300));
  const auto error = error_of([&] { return read(row.json); });
  REQUIRE(error);
  INFO(error->what());
  CHECK(error->code() == row.code);
  CHECK(contains(error->what(), std::string(row.field) + ":"));
  CHECK(is_one_line(error->what()));
  CHECK(std::string(error->stage()) == "spec");
}

/// A spec that no text says is refused by all that check it, and the field is named.
inline void check_refused(const RopeSpec& spec, const char* field) {
  INFO(spec.to_string());
  for (const bool as_json : {false, true}) {
    const auto error = error_of([&] {
      if (as_json) {
        spec.to_json();
      } else {
        spec.validate();
      }
      return 0;
    });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == kRange);
    CHECK(contains(error->what(), std::string(field) + ":"));
    CHECK(is_one_line(error->what()));
  }
}

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

inline const std::string kGoodSpec =
    R"({"schema": 1, "layout": "split_half", "direction": "forward", "dtype": "bf16", "rope_theta": 500000.0, )"
    R"("rotary_dim": 128, "q": {"heads": 32, "head_dim": 128, "first_lane": 0}, "k": {"heads": 8, "head_dim": 128}, )"
    R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, )"
    R"("original_max_position_embeddings": 8192}})";

inline const std::string kGoodConfig =
    R"({"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8, )"
    R"("head_dim": 128, "rope_theta": 500000.0, "partial_rotary_factor": 1.0, "torch_dtype": "bfloat16", )"
    R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, )"
    R"("original_max_position_embeddings": 8192}})";

}  // namespace ropejit::test
