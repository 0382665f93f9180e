// Lists in one text.
#pragma once

#include <string_view>
#include <vector>

namespace ropejit::internal {

/// The parts of `text` between separators, empty ones too; at least one. They look at `text`.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t end = text.find(separator); end != std::string_view::npos; end = text.find(separator)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

}  // namespace ropejit::internal
