// Tuning records: shows, merges and compares them, and pins a person's choice.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "cli/records/records.hpp"
#include "codegen/variant.hpp"
#include "ropejit/error.hpp"
#include "store/store_options.hpp"
#include "support/text.hpp"
#include "tune/record_file.hpp"

namespace ropejit::internal {
namespace {

void tell(const std::vector<std::string>& problems) {
  for (const std::string& problem : problems) print_error_line("ropejit: " + problem);
}

// A file that a person names; whoever may write it, it is theirs to trust.
RecordSet read_named(std::string_view what, const std::string& path) {
  RecordsRead read = parse_records(read_file(what, path, kMaxRecordsBytes), path);
  tell(read.problems);
  return std::move(read.records);
}

std::string own_path(const Arguments& arguments) {
  return records_path(cache_directory(arguments.text("--cache-dir")));
}

Trust own_trust(const Arguments& arguments) { return store_options(arguments.text("--cache-dir")).trust; }

// Reading the cache's file asks that its owner alone may write it, so there it is written that way.
// `report` is for people, and goes aside where standard output has the records.
void save(const Arguments& arguments, const std::string& path, const RecordSet& records, const std::string& report) {
  const std::string own = own_path(arguments);
  std::error_code ignored;
  if (path == own || std::filesystem::equivalent(path, own, ignored)) {
    const std::string problem = write_records(system_file_ops(), path, records, own_trust(arguments));
    if (!problem.empty()) throw Error(ErrorCode::io_error, "output", problem);
    return print(report);
  }
  const RecordsText encoded = to_text(records);
  if (!encoded.problem.empty()) throw Error(ErrorCode::internal, "records", encoded.problem);
  const OutputFile file(system_file_ops(), path);
  write_file(file, encoded.text);
  file.is_standard_output() ? print_error_text(report) : print(report);
}

int list(const Arguments& arguments, const std::vector<std::string>& files) {
  RecordSet records;
  std::string where = fmt::format("{}", fmt::join(files, ", "));
  for (const std::string& file : files) records.merge(read_named("FILE", file));
  if (files.empty()) {
    where = own_path(arguments);
    RecordsRead read = read_records(system_file_ops(), where, own_trust(arguments));
    tell(read.problems);
    records = std::move(read.records);
  }
  if (arguments.has("--json")) {
    print(json_array([&](llvm::json::OStream& out) {
      for (const TuningRecord& record : records.all()) out.rawValue(to_json_line(record));
    }));
    return 0;
  }
  const std::string last = fmt::format("{} in {}\n", counted(records.all().size(), "record", "records"),
                                       where.empty() ? "no file: there is no cache directory" : where);
  print(records.empty() ? last : records_table(records.all()) + last);
  return 0;
}

int merge(const Arguments& arguments, const std::vector<std::string>& files) {
  if (files.empty()) throw bad_argument("merge: found no files, allowed: one or more");
  const std::string out = arguments.required("--out", "records.jsonl");
  std::vector<RecordSet> sets;
  RecordSet merged;
  for (const std::string& file : files) {
    sets.push_back(read_named("FILE", file));
    merged.merge(sets.back());
  }
  std::string text;
  std::set<const TuningRecord*> disagreed;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (const TuningRecord& record : sets[i].all()) {
      const TuningRecord* kept = merged.find(record.device, record.kernel_class, record.tokens);
      if (kept->variant == record.variant) continue;
      disagreed.insert(kept);
      text += fmt::format("{}: {}; not {} ({})\n", place_of(record), choice_of(*kept), choice_of(record), files[i]);
    }
  }
  text += fmt::format("{} of {} in {}; on {} they disagreed\n", counted(merged.all().size(), "record", "records"),
                      counted(files.size(), "file", "files"), out, disagreed.size());
  if (const std::size_t lines = merged.kept_lines().size(); lines != 0) {
    text += counted(lines, "line", "lines") + " of a later version kept as they are\n";
  }
  save(arguments, out, merged, text);
  return 0;
}

std::string json_of(const RecordsComparison& found) {
  return json_object([&](llvm::json::OStream& out) {
    const auto records = [&](const char* key, const std::vector<TuningRecord>& some) {
      out.attributeArray(key, [&] {
        for (const TuningRecord& record : some) out.rawValue(to_json_line(record));
      });
    };
    records("only_a", found.only_a);
    records("only_b", found.only_b);
    attribute_objects(out, "other_variants", found.other_variants, [&](const auto& both) {
      for (const auto& [key, record] : {std::pair("a", &both.first), std::pair("b", &both.second)}) {
        out.attributeBegin(key);
        out.rawValue(to_json_line(*record));
        out.attributeEnd();
      }
    });
    attribute(out, "same_variant", found.same_variant);
  });
}

std::string text_of(const RecordsComparison& found) {
  std::string text;
  for (const TuningRecord& record : found.only_a) {
    text += fmt::format("only in A: {}: {}\n", place_of(record), choice_of(record));
  }
  for (const TuningRecord& record : found.only_b) {
    text += fmt::format("only in B: {}: {}\n", place_of(record), choice_of(record));
  }
  for (const auto& [a, b] : found.other_variants) {
    text += fmt::format("{}: A {}; B {}\n", place_of(a), choice_of(a), choice_of(b));
  }
  return text + fmt::format("{} with one variant, {} with two, {} in A alone, {} in B alone\n",
                            counted(found.same_variant, "record", "records"), found.other_variants.size(),
                            found.only_a.size(), found.only_b.size());
}

int diff(const Arguments& arguments, const std::vector<std::string>& files) {
  if (files.size() != 2) throw bad_argument("diff: found {} files, allowed: two, A and B", files.size());
  const RecordsComparison found = compare(read_named("A", files[0]), read_named("B", files[1]));
  print(arguments.has("--json") ? json_of(found) : text_of(found));
  return found.other_variants.empty() ? 0 : 1;
}

PinChoice read_choice(const Arguments& arguments) {
  PinChoice choice;
  choice.class_digits = arguments.required("--class", "0123456789ab");
  static_cast<void>(arguments.required("--tokens", "4096"));
  choice.tokens = arguments.integer("--tokens", 1, 1, std::int64_t{1} << 53);
  choice.unpin = arguments.has("--unpin");
  if (choice.unpin) {
    if (arguments.has("--variant")) throw bad_argument("--variant: found with --unpin, allowed: one of the two");
    return choice;
  }
  choice.variant = arguments.required("--variant", "flat_v16_h8_t128");
  if (!parse_variant(choice.variant)) {
    throw bad_argument("--variant: found {}, allowed: a variant such as flat_v16_h8_t128",
                       internal::quoted(choice.variant));
  }
  return choice;
}

int pin(const Arguments& arguments, const std::vector<std::string>& files) {
  if (!files.empty()) throw bad_argument("pin: found the word {}, allowed: --file FILE", internal::quoted(files[0]));
  const PinChoice choice = read_choice(arguments);
  std::string text;
  if (const std::optional<std::string> file = arguments.text("--file")) {
    const OutputFile out(system_file_ops(), *file);
    // It is read first: a pipe would keep that waiting, and what is written through has no records.
    if (out.kind() != OutputFile::Kind::file) {
      if (!out.problem().empty()) throw bad_argument("--file: {}", out.problem());
      throw bad_argument("--file: {}: found no regular file, allowed: one", *file);
    }
    RecordSet records = read_named("--file", *file);
    text = apply_pin(records, choice, *file);
    save(arguments, *file, records, text);
  } else {
    const std::string path = own_path(arguments);
    if (read_records(system_file_ops(), path, own_trust(arguments)).absent) {
      if (path.empty()) throw bad_argument("pin: there is no cache directory, allowed: --file FILE");
      throw bad_argument("pin: {} is not there: nothing was tuned yet, allowed: --file FILE", excerpt(path, 200));
    }
    const auto pin_it = [&](RecordSet& records) { text = apply_pin(records, choice, path); };
    const RecordsUpdate update = update_records(system_file_ops(), path, pin_it, own_trust(arguments));
    tell(update.problems);
    if (!update.written) throw Error(ErrorCode::io_error, "output", fmt::format("{}: left as it was", path));
    print(text);
  }
  return 0;
}

struct Subcommand {
  std::string_view name;
  std::vector<std::string_view> flags;  // besides --cache-dir
  int (*run)(const Arguments& arguments, const std::vector<std::string>& files);
};

const std::vector<Subcommand>& subcommands() {
  static const std::vector<Subcommand> all = {
      {"ls", {"--json"}, list},
      {"merge", {"--out"}, merge},
      {"diff", {"--json"}, diff},
      {"pin", {"--class", "--tokens", "--variant", "--unpin", "--file"}, pin},
  };
  return all;
}

std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const Subcommand& each : subcommands()) result.emplace_back(each.name);
  return result;
}

int run_records(const Arguments& arguments) {
  std::vector<std::string> words = arguments.positional();
  const std::string word = words.empty() ? "" : words[0];
  for (const Subcommand& each : subcommands()) {
    if (each.name != word) continue;
    for (const char* flag : {"--json", "--out", "--class", "--tokens", "--variant", "--unpin", "--file"}) {
      if (arguments.has(flag) && !llvm::is_contained(each.flags, flag)) {
        throw bad_argument("{}: found {}, allowed: {}, --cache-dir", word, flag, fmt::join(each.flags, ", "));
      }
    }
    words.erase(words.begin());
    return each.run(arguments, words);
  }
  throw bad_argument("records: found {}, allowed: {}", word.empty() ? "nothing" : internal::quoted(word),
                     fmt::join(names(), ", "));
}

}  // namespace

Command records_command() {
  return {
      "records",
      "shows tuning records (ls), merges files, compares two (diff; status 1 where variants differ), pins a variant",
      {{"--out", "FILE", "merge: where the merged records go"},
       {"--class", "DIGITS", "pin: the first digits of a class's hash, as ls shows it"},
       {"--tokens", "N", "pin: of the launches"},
       {"--variant", "ID", "pin: what serves them from now on, on every device of the file"},
       {"--unpin", "", "pin: takes a pin back; one that was never timed is removed"},
       {"--file", "FILE", "pin: the file to change (the cache directory's)"},
       {"--cache-dir", "DIR", "whose file ls and pin mean ($ROPEJIT_CACHE_DIR, else ~/.cache/ropejit)"},
       {"--json", "", "ls, diff: one JSON value on stdout"}},
      names(),
      run_records,
      {"[FILE...]"}};
}

}  // namespace ropejit::internal
