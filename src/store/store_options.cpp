#include "store/store_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "store/key_lock.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

std::optional<std::uint64_t> whole_number(std::string_view text, std::uint64_t most) {
  const auto number = number_in<std::uint64_t>(text);
  return number && *number <= most ? number : std::nullopt;
}

Error wrong(std::string_view field, std::string_view text, std::string_view allowed) {
  return field_error(ErrorCode::invalid_argument, field, quoted(text), allowed);
}

}  // namespace

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string cache_directory(const std::optional<std::string>& option) {
  if (option) return *option;
  if (const std::string_view set = environment("ROPEJIT_CACHE_DIR"); !set.empty()) return std::string(set);
  if (const std::string_view xdg = environment("XDG_CACHE_HOME"); xdg.starts_with('/')) {
    return std::string(xdg) + "/ropejit";
  }
  if (const std::string_view home = environment("HOME"); home.starts_with('/')) {
    return std::string(home) + "/.cache/ropejit";
  }
  return {};
}

std::uint64_t byte_count(std::string_view field, std::string_view text) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 50;
  std::string_view digits = text;
  int shift = 0;
  if (const std::size_t unit = digits.empty() ? std::string_view::npos : std::string_view("KMGT").find(digits.back());
      unit != std::string_view::npos) {
    shift = 10 * (static_cast<int>(unit) + 1);
    digits.remove_suffix(1);
  }
  if (const std::optional<std::uint64_t> number = whole_number(digits, (kMost - 1) >> shift)) return *number << shift;
  throw wrong(field, text, "bytes below 2^50, as 1000000, 64K, 512M, 4G or 1T");
}

std::chrono::seconds day_count(std::string_view field, std::string_view text) {
  const std::optional<std::uint64_t> days = whole_number(text, 36500);
  if (!days || *days == 0) throw wrong(field, text, "days, 1 to 36500");
  return std::chrono::hours(24 * static_cast<std::int64_t>(*days));
}

StoreOptions store_options(const std::optional<std::string>& option) {
  StoreOptions options;
  options.directory = cache_directory(option);
  for (const std::string_view path : split(environment("ROPEJIT_CACHE_PATH"), ':')) {
    if (!path.empty()) options.read_only.emplace_back(path);
  }
  if (const std::string_view trust = environment("ROPEJIT_TRUST"); !trust.empty()) {
    options.trust = trust_named("ROPEJIT_TRUST", trust);
  }
  if (const std::string_view bytes = environment("ROPEJIT_CACHE_MAX_BYTES"); !bytes.empty()) {
    options.limits.max_bytes = byte_count("ROPEJIT_CACHE_MAX_BYTES", bytes);
  }
  if (const std::string_view days = environment("ROPEJIT_CACHE_MAX_AGE"); !days.empty()) {
    options.limits.max_age = day_count("ROPEJIT_CACHE_MAX_AGE", days);
  }
  return options;
}

StoreOptions only_read(StoreOptions options) {
  if (!options.directory.empty()) options.read_only.insert(options.read_only.begin(), options.directory);
  options.first_is_users = !options.directory.empty();
  options.directory.clear();
  return options;
}

std::chrono::milliseconds lock_timeout() {
  constexpr std::uint64_t kMost = 86400000;
  const std::string_view text = environment("ROPEJIT_LOCK_TIMEOUT_MS");
  if (text.empty()) return std::chrono::milliseconds(10000);
  const std::optional<std::uint64_t> number = whole_number(text, kMost);
  if (!number) throw wrong("ROPEJIT_LOCK_TIMEOUT_MS", text, "milliseconds, 0 to 86400000");
  return std::chrono::milliseconds(*number);
}

}  // namespace ropejit::internal
