// What the program writes: text and JSON on stdout, everything else on stderr.
#pragma once

#include <llvm/ADT/STLFunctionalExtras.h>
#include <llvm/Support/JSON.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::internal {

/// Writes all of a text to stdout and flushes. Throws Error{io_error} where stdout is closed or full.
void print(std::string_view text);

/// One line on stderr: control characters are replaced, a newline is added. Failures are ignored: there is nowhere
/// to report them.
void print_error_line(std::string_view line) noexcept;

/// Several lines on stderr, as they are.
void print_error_text(std::string_view text) noexcept;

/// A JSON text, indented, with a newline at the end: an object whose attributes `body` writes, which keep their order,
/// or an array whose elements it writes.
std::string json_object(llvm::function_ref<void(llvm::json::OStream&)> body);
std::string json_array(llvm::function_ref<void(llvm::json::OStream&)> body);

/// Attributes of the object that is open. Text that is not UTF-8 (a path) is repaired; a number that JSON cannot
/// express becomes null; `digits` 0: as many as tell the number from every other.
void attribute(llvm::json::OStream& json, std::string_view key, std::string_view text);
void attribute(llvm::json::OStream& json, std::string_view key, const char* text);
void attribute(llvm::json::OStream& json, std::string_view key, std::int64_t number);
void attribute(llvm::json::OStream& json, std::string_view key, bool truth);
void attribute(llvm::json::OStream& json, std::string_view key, double number, int digits = 0);
template <std::integral Number>
void attribute(llvm::json::OStream& json, std::string_view key, Number number) {
  attribute(json, key, static_cast<std::int64_t>(number));
}
void attribute_null(llvm::json::OStream& json, std::string_view key);
void attribute_list(llvm::json::OStream& json, std::string_view key, const std::vector<std::string>& texts);
/// An array of objects, whose attributes `body` writes for each of `all`.
template <typename Range, typename Body>
void attribute_objects(llvm::json::OStream& json, std::string_view key, const Range& all, const Body& body) {
  json.attributeArray(llvm::StringRef(key.data(), key.size()), [&] {
    for (const auto& one : all) json.object([&] { body(one); });
  });
}

/// A number as a JSON value.
std::string json_number(double number, int digits);

/// "1 entry", "12 entries".
std::string counted(std::size_t count, const char* one, const char* many);

/// A duration for people: "740 ns", "23.8 us", "151 ms", "2.1 s".
std::string duration(double microseconds);

}  // namespace ropejit::internal
