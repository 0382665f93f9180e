// A Hugging Face config that tests add fields to.
#pragma once

#include <string>

namespace ropejit::test {

/// A Llama's config with `fields` added.
inline std::string config_with(const std::string& fields) {
  return R"({"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4)" +
         (fields.empty() ? "" : ", " + fields) + "}";
}

}  // namespace ropejit::test
