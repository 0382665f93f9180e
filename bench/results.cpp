#include "bench/results.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include <fmt/format.h>
#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include "ropejit/error.hpp"
#include "store/file/output.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace ropejit::bench {
namespace {

// One list of fields for the writer and the reader: visit(key, member).
template <typename AnyRecord, typename Visit>
void visit_fields(AnyRecord& record, const Visit& visit) {
  visit("cell", record.cell);
  visit("tokens", record.tokens);
  visit("l2", record.l2);
  visit("selection", record.selection);
  visit("records", record.records);
  visit("variant", record.variant);
  visit("default", record.is_default);
  visit("us", record.us);
  visit("lower_us", record.lower_us);
  visit("upper_us", record.upper_us);
  visit("spread_us", record.spread_us);
  visit("samples", record.samples);
  visit("launches", record.launches);
  visit("floor_us", record.floor_us);
  visit("floor_spread_us", record.floor_spread_us);
  visit("floor", record.floor);
  visit("linear_us", record.linear_us);
  visit("linear", record.linear);
  visit("ratio", record.ratio);
  visit("bytes", record.bytes);
  visit("registers", record.registers);
  visit("spill_bytes", record.spill_bytes);
  visit("gpu", record.environment.gpu);
  visit("arch", record.environment.arch);
  visit("driver", record.environment.driver);
  visit("nvrtc", record.environment.nvrtc);
  visit("version", record.environment.version);
  visit("date", record.environment.date);
  visit("command", record.environment.command);
}

struct Writer {
  std::string& text;

  void operator()(const char* key, const std::string& value) const {
    std::string escaped;
    llvm::raw_string_ostream stream(escaped);
    stream << llvm::json::Value(llvm::json::fixUTF8(value));
    put(key, stream.str());
  }
  void operator()(const char* key, std::int64_t value) const { put(key, fmt::format("{}", value)); }
  void operator()(const char* key, double value) const { put(key, fmt::format("{:.5f}", value)); }
  void operator()(const char* key, bool value) const { put(key, value ? "true" : "false"); }
  void put(const char* key, std::string_view value) const {
    text += fmt::format("{}\"{}\": {}", text.empty() ? "{" : ", ", key, value);
  }
};

struct Reader {
  const internal::ObjectReader& json;

  void operator()(const char* key, std::string& value) const { value = json.get_string(key, "a string"); }
  void operator()(const char* key, bool& value) const { value = json.find_bool(key).value_or(false); }
  void operator()(const char* key, std::int64_t& value) const {
    value = json.get_int(key, {-1, std::numeric_limits<std::int64_t>::max()});
  }
  void operator()(const char* key, double& value) const {
    const llvm::json::Value* found = json.find(key);
    const auto number = found == nullptr ? std::nullopt : found->getAsNumber();
    if (!number) throw Error(ErrorCode::parse_error, "results", fmt::format("{}: missing, allowed: a number", key));
    value = *number;
  }
};

Error io_error(const std::string& path, const char* what) {
  return {ErrorCode::io_error, "results",
          fmt::format("{}: {}: {}", internal::excerpt(path), what, std::strerror(errno))};
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

std::string to_json_line(const Record& record) {
  std::string text;
  visit_fields(record, Writer{text});
  return text + "}";
}

Record parse_record(std::string_view line) {
  const llvm::json::Object object = internal::parse_json_object(line);
  const internal::ObjectReader json(object);
  Record record;
  visit_fields(record, Reader{json});
  return record;
}

CellKey key_of(const Record& record) { return {record.cell, record.tokens, record.l2, record.selection}; }

std::map<CellKey, std::vector<Record>> whole_cells(const std::vector<Record>& records) {
  // A cell that was begun, lost and made again stands in the file twice, whole the last time.
  std::map<CellKey, std::map<std::string, Record>> cells;
  for (const Record& record : records) cells[key_of(record)].insert_or_assign(record.variant, record);
  std::map<CellKey, std::vector<Record>> whole;
  for (const auto& [key, by_variant] : cells) {
    if (static_cast<std::int64_t>(by_variant.size()) < by_variant.begin()->second.records) continue;
    for (const auto& [variant, record] : by_variant) whole[key].push_back(record);
  }
  return whole;
}

ResultText parse_results(std::string_view text, std::string_view file) {
  ResultText result;
  int number = 0;
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return result;
    ++number;
    try {
      if (end != at) result.records.push_back(parse_record(text.substr(at, end - at)));
    } catch (const Error& error) {
      throw Error(ErrorCode::parse_error, "results",
                  fmt::format("{}: line {}: {}", internal::excerpt(file), number, error.what()));
    }
    at = result.whole_bytes = end + 1;
  }
}

std::vector<Record> read_results(const std::string& path) {
  if (!std::ifstream(path)) throw io_error(path, "open");
  return parse_results(text_of(path), path).records;
}

ResultFile::ResultFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) return;
  const bool is_file =
      internal::OutputFile(internal::system_file_ops(), path_).kind() == internal::OutputFile::Kind::file;
  append({});  // says now, not after an hour, that it cannot be written
  if (!is_file) return;
  const std::string text = text_of(path_);
  ResultText result = parse_results(text, path_);
  if (result.whole_bytes < text.size()) {
    std::error_code problem;
    std::filesystem::resize_file(path_, result.whole_bytes, problem);
    if (problem) throw Error(ErrorCode::io_error, "results", fmt::format("{}: {}", path_, problem.message()));
  }
  found_ = std::move(result.records);
}

void ResultFile::append(const std::vector<Record>& records) const {
  if (path_.empty()) return;
  std::string text;
  for (const Record& record : records) text += to_json_line(record) + "\n";
  append_output("results", path_, text);
}

void append_output(const char* stage, const std::string& path, std::string_view text) {
  const internal::OutputFile out(internal::system_file_ops(), path);
  const std::string problem = out.append(text, 0644);
  if (problem.empty()) return;
  const bool refused = out.kind() == internal::OutputFile::Kind::refused;
  throw Error(refused ? ErrorCode::invalid_argument : ErrorCode::io_error, stage, problem);
}

}  // namespace ropejit::bench
