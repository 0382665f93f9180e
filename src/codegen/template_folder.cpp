#include "codegen/template_folder.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "support/made_once.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 20;
constexpr std::size_t kPathLimit = 4096;
constexpr std::string_view kShared[] = {"generic_plan.cuh", "host_thread.cuh", "launch_params.cuh", "row_split.cuh",
                                        "stage.cuh"};

Error refusal(const std::string& what, const std::string& found, const std::string& allowed) {
  return {ErrorCode::invalid_argument, "templates",
          fmt::format("ROPEJIT_TEMPLATES: {}: found {}, allowed: {}", excerpt(what, kPathLimit), found, allowed)};
}

/// Whether a folder may be used is decided here and nowhere else: what is to forbid it one day returns "" here.
/// A program with more rights than its caller does not let the caller choose what it compiles.
std::string folder_that_is_allowed() {
  const char* folder = ::secure_getenv("ROPEJIT_TEMPLATES");
  return folder == nullptr ? std::string() : folder;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator item(folder, error);
  for (; !error && item != fs::directory_iterator(); item.increment(error)) {
    const fs::path name = item->path().filename();
    if (name.extension() == ".cuh" && name.native().front() != '.') names.push_back(name.string());
  }
  if (error) throw refusal(folder, error.message(), "a folder of device headers, as `ropejit source --out` writes it");
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_template(const std::string& path) {
  const auto fail = [&](const std::string& found) {
    return refusal(path, found, fmt::format("a file of text, of at most {} bytes", kMostBytes));
  };
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) throw fail("a link to nothing");
  if (error) throw fail(error.message());
  if (status.type() == fs::file_type::directory) throw fail("a directory");
  if (status.type() != fs::file_type::regular) throw fail("something that is no file");
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) throw fail(error.message());
  if (bytes > kMostBytes) throw fail(fmt::format("{} bytes", bytes));
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw fail("a file that cannot be opened");
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) throw fail("a file that cannot be read");
  if (text.find('\0') != std::string::npos) throw fail("a NUL byte");
  return text;
}

}  // namespace

const std::string& templates_folder() {
  static constinit MadeOnce<std::string> folder;
  return folder.get(folder_that_is_allowed);
}

std::span<const std::string_view> shared_templates() { return kShared; }

TemplateFolder::TemplateFolder(const std::string& folder, std::span<const TextFile> embedded) {
  for (std::string& name : names_in(folder)) {
    std::string text = read_template(fmt::format("{}/{}", folder, name));
    texts_.emplace_back(std::move(name), std::move(text));
  }
  for (const auto& [name, text] : texts_) files_.push_back({name, text});
  for (const TextFile& own : embedded) {
    const std::string path = fmt::format("{}/{}", folder, own.name);
    const auto given =
        std::find_if(files_.begin(), files_.end(), [&](const TextFile& file) { return file.name == own.name; });
    if (given == files_.end()) {
      throw refusal(
          path, "no such file",
          fmt::format("all {} device headers of the library, as `ropejit source --out` writes them", embedded.size()));
    }
    const bool shared = std::find(std::begin(kShared), std::end(kShared), own.name) != std::end(kShared);
    if (shared && given->text != own.text) {
      throw refusal(path, "another text than the library's own code was compiled with",
                    "that text: to change it, build the library anew");
    }
  }
}

}  // namespace ropejit::internal
