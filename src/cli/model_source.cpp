#include "cli/model_source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "cli/files.hpp"
#include "deploy/model_name.hpp"
#include "ropejit/error.hpp"
#include "support/json_guard.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kShownPath = 4096;

// The object has "schema" among its own keys: a spec, not a model's config. Only tells the two apart; whether the
// text is JSON at all is for the reader that it then goes to.
bool has_schema(std::string_view text) {
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    const std::size_t begin = ++at;
    while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
    if (at >= text.size()) return false;
    const std::size_t next = text.find_first_not_of(" \t\r\n", at + 1);
    const bool is_key = next != std::string_view::npos && text[next] == ':';
    if (depth == 1 && is_key && text.substr(begin, at - begin) == "schema") return true;
  }
  return false;
}

ModelSource source_of_text(std::string_view what, const std::string& name, std::string text) {
  ModelSource source;
  source.kind = has_schema(text) ? ModelSource::Kind::spec : ModelSource::Kind::config;
  source.what = what;
  source.name = excerpt(name, kShownPath);
  source.text = std::move(text);
  return source;
}

std::string config_in(std::string_view what, const std::string& folder) {
  std::string path = folder + (folder.ends_with('/') ? "config.json" : "/config.json");
  if (found_at(path) != Found::nothing) return path;
  throw bad_argument("{}: {}: found a folder without a config.json, allowed: a folder with one, or a file", what,
                     excerpt(folder, kShownPath));
}

// Nothing stands at a path of that name.
const WarmModel& known_model(std::string_view what, const std::string& value) {
  const std::vector<const WarmModel*> found = models_named(value, shipped_models());
  if (found.size() == 1) return *found.front();
  if (!found.empty()) {
    std::vector<std::string_view> names;
    for (const WarmModel* model : found) names.emplace_back(model->name);
    throw bad_argument("{}: found {}, in which {} names end, allowed: one of {}", what, quoted(value), names.size(),
                       fmt::join(names, ", "));
  }
  const std::vector<std::string> near = near_names(value, shipped_models());
  throw bad_argument(
      "{}: found {}: no such file or folder, and no known model; allowed: a config.json or spec, a folder with a "
      "config.json, {} (standard input), or a name of `ropejit warm --list`{}",
      what, quoted(value, kShownPath), kStandardInput,
      near.empty() ? "" : fmt::format("; did you mean {}?", fmt::join(near, ", ")));
}

}  // namespace

std::string ModelSource::to_string() const {
  switch (kind) {
    case Kind::config: return "a config.json";
    case Kind::spec: return "a spec";
    case Kind::known: return "the known model " + name;
  }
  return {};
}

ModelSource find_model(std::string_view what, const std::string& value) {
  if (value == kStandardInput) {
    return source_of_text(what, "standard input", read_standard_input(what, kMaxJsonBytes));
  }
  const Found found = found_at(value);
  if (found != Found::nothing) {
    const std::string path = found == Found::folder ? config_in(what, value) : value;
    return source_of_text(what, path, read_file(what, path, kMaxJsonBytes));
  }
  ModelSource source;
  source.kind = ModelSource::Kind::known;
  source.what = what;
  source.known = &known_model(what, value);
  source.name = source.known->name;
  return source;
}

Flag model_flag() {
  return {"--model", "MODEL",
          "a config.json, a spec (JSON with \"schema\"), a folder with a config.json, - (standard input), or a name of "
          "`ropejit warm --list`"};
}

}  // namespace ropejit::internal
