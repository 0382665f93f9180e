// cache export, import: one file of a directory's entries and records, and back.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "cli/cache/cache.hpp"
#include "cli/output.hpp"
#include "store/bundle/bundle.hpp"
#include "store/bundle/writer.hpp"
#include "support/text.hpp"
#include "tune/record_file.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kMostTold = 10;

// What --arch names: "sm_90", "9.0" for the same, "host" for the host whatever its processor.
class Archs {
 public:
  explicit Archs(const std::optional<std::string>& list) {
    if (!list) return;
    for (const std::string_view name : split(*list, ',')) {
      if (name.empty()) {
        throw bad_argument("--arch: found {}, allowed: names with commas between, e.g. sm_90,sm_100", quoted(*list));
      }
      names_.push_back(as_stored(std::string(name)));
    }
  }

  bool has(std::string_view arch) const {
    return names_.empty() || llvm::any_of(names_, [&](const std::string& name) { return is(name, arch); });
  }

  // Throws for one that is not among `present`: an image without the entries that it was to have is found too late.
  void expect_all(const std::set<std::string>& present) const {
    for (const std::string& name : names_) {
      if (llvm::any_of(present, [&](const std::string& arch) { return is(name, arch); })) continue;
      throw bad_argument("--arch: found {}, allowed: what there are entries for: {}", quoted(name),
                         present.empty() ? "none" : fmt::format("{}", fmt::join(present, ", ")));
    }
  }

 private:
  static std::string as_stored(const std::string& name) {
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos || name.find_first_not_of("0123456789.") != std::string::npos) return name;
    return "sm_" + name.substr(0, dot) + name.substr(dot + 1);
  }
  static bool is(const std::string& name, std::string_view arch) {
    return arch == name || (name == "host" && arch.starts_with("host-"));
  }

  std::vector<std::string> names_;
};

// Lines of a later version say nothing certain but their device.
std::string arch_of_line(std::string_view line) {
  constexpr std::string_view kDevice = "\"device\":\"";
  const std::size_t at = line.find(kDevice);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = line.substr(at + kDevice.size());
  return std::string(rest.substr(0, rest.find('/')));
}

// As one text for equal records, whatever file they come from.
std::string records_for(const BinaryStore& store, const Archs& archs) {
  const TierRecords found = store.tiers().front()->records();
  if (!found.text) {
    if (found.miss.kind == Miss::Kind::absent) return {};
    throw Error(ErrorCode::io_error, "records",
                fmt::format("{}: tuning records: {}", found.directory, found.miss.reason));
  }
  RecordsRead read = parse_records(*found.text, store.directory());
  for (const std::string& problem : read.problems) print_error_line("ropejit: " + problem);
  std::vector<TuningRecord> records;
  std::vector<std::string> lines;
  for (const TuningRecord& record : read.records.all()) {
    if (archs.has(record.device.arch)) records.push_back(record);
  }
  for (const std::string& line : read.records.kept_lines()) {
    if (archs.has(arch_of_line(line))) lines.push_back(line);
  }
  RecordsText encoded = to_text(RecordSet(std::move(records), std::move(lines)));
  if (!encoded.problem.empty()) throw Error(ErrorCode::internal, "records", encoded.problem);
  return std::move(encoded.text);
}

std::size_t lines_of(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

BundleOpened opened_or_throw(const Trust& trust, const std::string& path) {
  BundleOpened opened = Bundle::open(system_file_ops(), trust, path);
  if (opened.bundle) return opened;
  const auto code =
      opened.miss.kind == Miss::Kind::unreadable && opened.is_file ? ErrorCode::io_error : ErrorCode::invalid_argument;
  throw Error(code, "arguments", fmt::format("FILE: {}: {}", path, opened.miss.reason));
}

}  // namespace

int cache_export(const BinaryStore& store, const Arguments& arguments) {
  expect_directory(store);
  const Archs archs(arguments.text("--arch"));
  BundleRequest request;
  request.path = arguments.required("--out", "ropejit.rjb");
  request.secret_key = signing_key(arguments);
  request.replaces_anything = arguments.has("--force");
  request.records = records_for(store, archs);
  std::set<std::string> present;
  std::size_t wanted = 0;
  request.wanted = [&](const EntryMetadata& metadata) {
    present.insert(metadata.arch);
    const bool has = archs.has(metadata.arch);
    if (has) ++wanted;
    return has;
  };
  request.accepts = [&] {
    archs.expect_all(present);
    if (wanted != 0 || !request.records.empty()) return;
    throw bad_argument("export: {}: found nothing, allowed: entries or tuning records", store.directory());
  };
  const BundleWritten written = write_bundle(system_file_ops(), *store.tiers().front(), request);
  if (!written.problem.empty()) {
    throw Error(written.in_the_way ? ErrorCode::invalid_argument : ErrorCode::io_error, "output",
                written.in_the_way ? "--out: " + written.problem : written.problem);
  }
  for (const std::string& entry : written.left_out) print_error_line("ropejit: left out: " + entry);
  std::string report;
  if (arguments.has("--json")) {
    report = json_object([&](llvm::json::OStream& out) {
      attribute(out, "path", request.path);
      attribute(out, "digest", written.digest);
      attribute(out, "entries", written.entries);
      attribute(out, "records", lines_of(request.records));
      attribute(out, "bytes", written.bytes);
      attribute(out, "signed", !request.secret_key.empty());
      attribute_list(out, "left_out", written.left_out);
    });
  } else {
    report = fmt::format("{}, {}, {} bytes in {}{}\ndigest {}\n", counted(written.entries, "entry", "entries"),
                         counted(lines_of(request.records), "tuning record", "tuning records"), grouped(written.bytes),
                         request.path, request.secret_key.empty() ? "" : ", signed", written.digest);
  }
  // Where the bundle itself went there, what is said of it would be a part of it.
  written.to_standard_output ? print_error_text(report) : print(report);
  return written.left_out.empty() ? 0 : 1;
}

int cache_import(const BinaryStore& store, const Arguments& arguments) {
  expect_no_bundle(store);
  // The trust is asked of the bundle. One that seals says nothing of the directory, which is this user's to fill.
  const Trust& trust = store.options().trust;
  const Trust of_directory = trust.sealed() ? Trust() : trust;
  const std::string& path = arguments.positional()[1];
  const BundleOpened opened = opened_or_throw(trust, path);
  if (const std::string problem = verify_bundle(*opened.bundle); !problem.empty()) {
    throw bad_argument("FILE: {}: {}", path, problem);
  }
  const TierRecords found = opened.bundle->records();
  RecordsRead records = parse_records(found.text.value_or(""), path);

  Imported imported = import_entries(*opened.bundle, Tier(store.directory(), of_directory, false, system_file_ops()));
  const std::size_t record_count = records.records.all().size();
  for (const std::string& problem : records.problems) print_error_line("ropejit: " + problem);
  if (found.text) {
    const RecordsUpdate update = update_records(
        system_file_ops(), records_path(store.directory()), [&](RecordSet& set) { set.merge(records.records); },
        of_directory);
    for (const std::string& problem : update.problems) print_error_line("ropejit: " + problem);
    if (!update.written) imported.failed.emplace_back("tuning records: not merged");
  }
  for (std::size_t i = 0; i < std::min(imported.failed.size(), kMostTold); ++i) {
    print_error_line("ropejit: " + imported.failed[i]);
  }
  if (imported.failed.size() > kMostTold) {
    print_error_line(fmt::format("ropejit: and {} more", imported.failed.size() - kMostTold));
  }
  if (arguments.has("--json")) {
    print(json_object([&](llvm::json::OStream& out) {
      attribute(out, "path", store.directory());
      attribute(out, "digest", opened.bundle->index().digest());
      attribute(out, "written", imported.written);
      attribute(out, "kept", imported.kept);
      attribute(out, "records", record_count);
      attribute_list(out, "failed", imported.failed);
    }));
  } else {
    print(fmt::format("{} written to {}, {} there already; {} merged\n", counted(imported.written, "entry", "entries"),
                      store.directory(), imported.kept, counted(record_count, "tuning record", "tuning records")));
  }
  return imported.failed.empty() ? 0 : 1;
}

}  // namespace ropejit::internal
