#include "store/format/metadata.hpp"

#include <fmt/format.h>
#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "ropejit/error.hpp"
#include "support/json.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kAnyInt{std::numeric_limits<int>::min(), std::numeric_limits<int>::max()};

int int_or_unknown(const ObjectReader& object, std::string_view key) {
  return static_cast<int>(object.find_int(key, kAnyInt).value_or(-1));
}

}  // namespace

std::string write_metadata(const EntryMetadata& metadata, std::string& json) {
  if (!llvm::json::isUTF8(metadata.key_preimage)) return "key_preimage: not UTF-8";
  if (!llvm::json::isUTF8(metadata.entry)) return "entry: not UTF-8";

  json.clear();
  llvm::raw_string_ostream stream(json);
  llvm::json::OStream out(stream);
  out.object([&] {
    out.attribute("key_preimage", metadata.key_preimage);
    out.attribute("entry", metadata.entry);
    out.attribute("arch", llvm::json::fixUTF8(metadata.arch));
    out.attribute("variant", llvm::json::fixUTF8(metadata.variant));
    out.attribute("compiler", llvm::json::fixUTF8(metadata.compiler));
    out.attribute("registers", metadata.registers);
    out.attribute("spill_bytes", metadata.spill_bytes);
    out.attribute("stack_bytes", metadata.stack_bytes);
    // Not as a double: LLVM prints those with the decimal sign of the process's locale.
    const double compile_ms = std::isfinite(metadata.compile_ms) ? metadata.compile_ms : 0.0;
    out.attributeBegin("compile_ms");
    out.rawValue(fmt::format("{}", compile_ms));
    out.attributeEnd();
  });
  stream.flush();
  return {};
}

std::string read_metadata(std::string_view json, EntryMetadata& metadata) {
  constexpr std::string_view text = "a string";
  try {
    const llvm::json::Object parsed = parse_json_object(json);
    const ObjectReader object(parsed);
    metadata.key_preimage = object.get_string("key_preimage", text);
    metadata.entry = object.get_string("entry", text);
    metadata.arch = object.find_string("arch", text).value_or("");
    metadata.variant = object.find_string("variant", text).value_or("");
    metadata.compiler = object.find_string("compiler", text).value_or("");
    metadata.registers = int_or_unknown(object, "registers");
    metadata.spill_bytes = int_or_unknown(object, "spill_bytes");
    metadata.stack_bytes = int_or_unknown(object, "stack_bytes");
    // No reader of ours has a range that lets 0 through, and a time is only told to people.
    const llvm::json::Value* compile_ms = object.find("compile_ms");
    metadata.compile_ms = compile_ms == nullptr ? 0.0 : compile_ms->getAsNumber().value_or(0.0);
    return {};
  } catch (const Error& error) {
    return fmt::format("metadata: {}", error.what());
  }
}

}  // namespace ropejit::internal
