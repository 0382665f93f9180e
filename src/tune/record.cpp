#include "tune/record.hpp"

#include <fmt/format.h>
#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <cmath>

#include "codegen/variant.hpp"
#include "ropejit/error.hpp"
#include "support/field_error.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kCount{1, std::int64_t{1} << 53};  // what a double, and so every JSON reader, holds exactly
constexpr PositiveRange kTime{.or_zero = true};
constexpr std::size_t kHashDigits = 32;
constexpr std::size_t kMaxNameBytes = 64;
constexpr std::string_view kText = "a string";
constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789_";

bool consists_of(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

std::string get_hash(const ObjectReader& object, std::string_view key) {
  constexpr std::string_view allowed = "32 hex digits";
  std::string text = object.get_string(key, allowed);
  if (text.size() != kHashDigits || !consists_of(text, "0123456789abcdef")) {
    throw field_error(ErrorCode::parse_error, object.path(key), quoted(text), allowed);
  }
  return text;
}

DeviceKey get_device(const ObjectReader& object, std::string_view key) {
  constexpr std::string_view allowed = "ARCH/MULTIPROCESSORS/MEMORY_MHZ/MEMORY_BITS/L2_BYTES";
  const std::string text = object.get_string(key, allowed);
  const std::optional<DeviceKey> device = parse_device_key(text);
  if (!device) throw field_error(ErrorCode::parse_error, object.path(key), quoted(text), allowed);
  return *device;
}

std::string find_text(const ObjectReader& object, std::string_view key) {
  return object.find_string(key, kText).value_or("");
}

TuningRecord read_record(const ObjectReader& object) {
  TuningRecord record;
  record.device = get_device(object, "device");
  record.kernel_class = get_hash(object, "class");
  record.kin = get_hash(object, "kin");
  record.what = find_text(object, "what");
  record.bytes_per_token = object.get_int("bytes_per_token", kCount);
  record.tokens = object.get_int("tokens", kCount);
  record.variant = object.get_string("variant", kText);
  record.us = object.get_number("us", kTime);
  record.copy_us = object.find_number("copy_us", kTime).value_or(0);
  record.spread_us = object.find_number("spread_us", kTime).value_or(0);
  record.cold = object.find_bool("cold").value_or(false);
  record.templates = find_text(object, "templates");
  record.version = find_text(object, "version");
  record.compiler = find_text(object, "compiler");
  record.driver = find_text(object, "driver");
  record.gpu = find_text(object, "gpu");
  record.pinned = object.find_bool("pinned").value_or(false);
  return record;
}

}  // namespace

std::string to_string(const DeviceKey& key) {
  return fmt::format("{}/{}/{}/{}/{}", key.arch, key.multiprocessors, key.memory_mhz, key.memory_bits, key.l2_bytes);
}

std::optional<DeviceKey> parse_device_key(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, '/');
  if (parts.size() != 5) return std::nullopt;
  const auto number = [&](std::size_t part) { return number_in<std::uint32_t>(parts[part]); };
  const auto l2_bytes = number_in<std::uint64_t>(parts[4]);
  if (!number(1) || !number(2) || !number(3) || !l2_bytes) return std::nullopt;
  const DeviceKey key{std::string(parts[0]), *number(1), *number(2), *number(3), *l2_bytes};
  if (key.arch.empty() || key.arch.size() > kMaxNameBytes ||
      !consists_of(key.arch, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")) {
    return std::nullopt;
  }
  // Other spellings of the same numbers ("0132") would be keys that nobody finds.
  if (to_string(key) != text) return std::nullopt;
  return key;
}

std::string kin_of(const KernelClass& kernel_class) {
  KernelClass kin = kernel_class;
  for (PlanOperand& operand : kin.operands) operand.heads = 1;
  return kin.hash();
}

std::string to_json_line(const TuningRecord& record) {
  std::string line;
  llvm::raw_string_ostream stream(line);
  llvm::json::OStream out(stream);
  const auto text = [&](const char* key, const std::string& value) { out.attribute(key, llvm::json::fixUTF8(value)); };
  // Not as a double: LLVM prints those with the decimal sign of the process's locale.
  const auto time = [&](const char* key, double us) {
    out.attributeBegin(key);
    out.rawValue(std::isfinite(us) ? fmt::format("{}", us) : "null");
    out.attributeEnd();
  };
  out.object([&] {
    out.attribute("record", kRecordVersion);
    text("device", to_string(record.device));
    text("class", record.kernel_class);
    text("kin", record.kin);
    text("what", record.what);
    out.attribute("bytes_per_token", record.bytes_per_token);
    out.attribute("tokens", record.tokens);
    text("variant", record.variant);
    time("us", record.us);
    time("copy_us", record.copy_us);
    time("spread_us", record.spread_us);
    out.attribute("cold", record.cold);
    text("templates", record.templates);
    text("version", record.version);
    text("compiler", record.compiler);
    text("driver", record.driver);
    text("gpu", record.gpu);
    out.attribute("pinned", record.pinned);
  });
  stream.flush();
  return line;
}

RecordLine parse_record(std::string_view line) {
  if (line.size() > kMaxRecordBytes) {
    return {{}, fmt::format("a line of {} bytes, allowed: at most {}", line.size(), kMaxRecordBytes), false};
  }
  try {
    const llvm::json::Object parsed = parse_json_object(line);
    const ObjectReader object(parsed);
    const std::int64_t version = object.get_int("record", {1, kCount.max});
    if (version > kRecordVersion) {
      return {{}, fmt::format("record: found version {}, allowed: {}", version, kRecordVersion), true};
    }
    TuningRecord record = read_record(object);
    if (!parse_variant(record.variant)) {
      const bool name = !record.variant.empty() && record.variant.size() <= kMaxNameBytes &&
                        consists_of(record.variant, kNameCharacters);
      return {{}, fmt::format("variant: found {}, allowed: such as flat_v16_h8_t128", quoted(record.variant)), name};
    }
    return {std::move(record), {}, false};
  } catch (const Error& error) {
    return {{}, error.what(), false};
  }
}

}  // namespace ropejit::internal
