// Where a model comes from, however a person named it: a file, a folder, standard input, or a name that the program
// knows. What in it is meant is read by cli/model_case.hpp.
#pragma once

#include <string>
#include <string_view>

#include "cli/arguments.hpp"
#include "deploy/warm_model.hpp"

namespace ropejit::internal {

/// What a person writes for standard input. A file of that name is ./-
inline constexpr std::string_view kStandardInput = "-";

struct ModelSource {
  enum class Kind { config, spec, known };
  Kind kind = Kind::config;
  std::string what;  ///< where a person named it: "--model", or "A" and "B" of `diff`
  std::string name;  ///< for messages: the file's path, "standard input", or the known model's whole name
  std::string text;  ///< of a config or spec, unread as yet
  const WarmModel* known = nullptr;  ///< one of shipped_models()

  /// "a config.json", "a spec", "the known model Qwen/Qwen3-8B".
  std::string to_string() const;
};

/// Looks for, in this order:
/// - standard input, for "-";
/// - what stands at the path `value`: a file, which is a spec where it has "schema" among its keys and else a Hugging
///   Face config.json, or a folder, whose config.json is read;
/// - the model of `ropejit warm --list` that `value` names (deploy/model_name.hpp).
/// At most 16 MiB are read, and not yet parsed. Throws Error{invalid_argument}, one line that begins with `what`: for
/// what cannot be read, for a folder without a config.json, for a name of several models with all of them, and for what
/// is none of these with names that are near.
ModelSource find_model(std::string_view what, const std::string& value);

/// The option --model, which find_model takes the value of.
Flag model_flag();

}  // namespace ropejit::internal
