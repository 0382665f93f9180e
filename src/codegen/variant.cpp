#include "codegen/variant.hpp"

#include <charconv>

#include <fmt/format.h>

namespace ropejit::internal {
namespace {

constexpr std::string_view kBuffer = "_buffer";

constexpr Family kFamilies[] = {Family::flat, Family::lanes, Family::shared, Family::universal};

std::string_view name_of(Family family) {
  switch (family) {
    case Family::flat: return "flat";
    case Family::lanes: return "lanes";
    case Family::shared: return "shared";
    case Family::universal: return "universal";
  }
  return "unknown";
}

bool take(std::string_view& text, std::string_view letters) {
  if (!text.starts_with(letters)) return false;
  text.remove_prefix(letters.size());
  return true;
}

/// Takes "<letters><number>" off the front of `text`.
bool take_number(std::string_view& text, std::string_view letters, std::uint32_t& number) {
  if (!take(text, letters)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

std::string to_string(const Variant& variant) {
  return fmt::format("{}_v{}_h{}_t{}{}", name_of(variant.family), variant.access_bytes, variant.heads_per_thread,
                     variant.threads, variant.buffered_steps ? kBuffer : "");
}

std::optional<Variant> parse_variant(std::string_view text) {
  Variant variant;
  std::string_view rest = text;
  for (const Family family : kFamilies) {
    if (!rest.starts_with(name_of(family))) continue;
    variant.family = family;
    rest.remove_prefix(name_of(family).size());
    bool whole = take_number(rest, "_v", variant.access_bytes) && take_number(rest, "_h", variant.heads_per_thread) &&
                 take_number(rest, "_t", variant.threads);
    variant.buffered_steps = take(rest, kBuffer);
    whole = whole && rest.empty();
    // Reading back what was read refuses other spellings of the same numbers ("_v016").
    if (whole && to_string(variant) == text) return variant;
    break;
  }
  return std::nullopt;
}

}  // namespace ropejit::internal
