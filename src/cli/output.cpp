#include "cli/output.hpp"

#include <fmt/format.h>
#include <llvm/Support/raw_ostream.h>
#include <unistd.h>

#include <cmath>
#include <system_error>

#include "ropejit/error.hpp"
#include "support/write_all.hpp"

namespace ropejit::internal {
namespace {

llvm::StringRef ref(std::string_view text) { return {text.data(), text.size()}; }

std::string json_text(llvm::function_ref<void(llvm::json::OStream&)> value) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  {
    llvm::json::OStream json(stream, 2);
    value(json);
  }
  stream << "\n";
  stream.flush();
  return text;
}

}  // namespace

void print(std::string_view text) {
  // Straight to the descriptor: no buffer whose flush at exit could fail unseen.
  const int problem = write_all(STDOUT_FILENO, text);
  if (problem != 0) {
    throw Error(ErrorCode::io_error, "output",
                fmt::format("standard output: {}", std::generic_category().message(problem)));
  }
}

void print_error_line(std::string_view line) noexcept {
  try {
    std::string text(line);
    for (char& c : text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    text += '\n';
    print_error_text(text);
  } catch (...) {
    print_error_text("ropejit: out of memory\n");
  }
}

void print_error_text(std::string_view text) noexcept { static_cast<void>(write_all(STDERR_FILENO, text)); }

std::string json_object(llvm::function_ref<void(llvm::json::OStream&)> body) {
  return json_text([&](llvm::json::OStream& json) { json.object([&] { body(json); }); });
}

std::string json_array(llvm::function_ref<void(llvm::json::OStream&)> body) {
  return json_text([&](llvm::json::OStream& json) { json.array([&] { body(json); }); });
}

void attribute(llvm::json::OStream& json, std::string_view key, std::string_view text) {
  // LLVM's own repair is behind an assertion.
  json.attribute(ref(key), llvm::json::fixUTF8(ref(text)));
}

void attribute(llvm::json::OStream& json, std::string_view key, const char* text) {
  attribute(json, key, std::string_view(text));
}

void attribute(llvm::json::OStream& json, std::string_view key, std::int64_t number) {
  json.attribute(ref(key), number);
}

void attribute(llvm::json::OStream& json, std::string_view key, bool truth) { json.attribute(ref(key), truth); }

void attribute(llvm::json::OStream& json, std::string_view key, double number, int digits) {
  json.attributeBegin(ref(key));
  json.rawValue(json_number(number, digits));
  json.attributeEnd();
}

void attribute_null(llvm::json::OStream& json, std::string_view key) { json.attribute(ref(key), nullptr); }

void attribute_list(llvm::json::OStream& json, std::string_view key, const std::vector<std::string>& texts) {
  json.attributeArray(ref(key), [&] {
    for (const std::string& text : texts) json.value(llvm::json::fixUTF8(text));
  });
}

std::string json_number(double number, int digits) {
  if (!std::isfinite(number)) return "null";
  return digits > 0 ? fmt::format("{:.{}g}", number, digits) : fmt::format("{}", number);
}

std::string counted(std::size_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string duration(double microseconds) {
  if (microseconds < 1) return fmt::format("{:.0f} ns", microseconds * 1e3);
  if (microseconds < 1e3) return fmt::format("{:.3g} us", microseconds);
  if (microseconds < 999.5e3) return fmt::format("{:.3g} ms", microseconds / 1e3);
  return fmt::format("{:.1f} s", microseconds / 1e6);
}

}  // namespace ropejit::internal
