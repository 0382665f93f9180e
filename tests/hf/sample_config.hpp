// A Hugging Face config that tests add fields to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ropejit/spec.hpp"

namespace ropejit::test {

/// The config, a Llama's where it says no model_type anywhere.
inline std::string typed(const std::string& config) {
  if (config.find("\"model_type\"") != std::string::npos) return config;
  return R"({"model_type": "llama", )" + config.substr(1);
}

/// A config with `fields` added.
inline std::string config_with(const std::string& fields) {
  return typed(R"({"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 4)" +
               (fields.empty() ? "" : ", " + fields) + "}");
}

/// Without a look at what it warns of.
inline RopeSpec from_config(std::string_view text) {
  std::vector<std::string> warnings;
  return RopeSpec::from_hf_config(text, &warnings);
}

}  // namespace ropejit::test
