// Every command that writes to a path that a person names, and every kind of path.
#include <set>

#include "cli/program.hpp"
#include "store/format/bundle.hpp"
#include "store/sample_bundles.hpp"
#include "support/catch.hpp"
#include "support/output_paths.hpp"
#include "tune/record_file.hpp"
#include "tune/sample_records.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

namespace {

// A command and what it makes of paths.
struct Writer {
  std::string name;
  std::string file;    // the last part of the path that is written
  std::string before;  // what is in a regular file that is there
  std::function<std::vector<std::string>(const OutputPath& made)> words;
  std::function<bool(const std::string& text)> is_right;  // of what was written
  std::set<std::string> not_written = {};                 // kinds that this one refuses where others would not
  bool makes_more = false;                                // in the same folder
  bool only_refusals = false;                             // it takes long: only where it is to stop before its work
  bool warns = false;                                     // and goes on: status 0 all the same
  std::string inner = {};                                 // how the folder of the path is called
};

const std::set<std::string> kNoFiles = {"a pipe that is read", "the null device", "a link to the null device",
                                        "a device that is full"};

std::string entry_of(const Program& program, const std::string& spec) {
  const Finished shown = program({"source", "--model", spec, "--json"});
  const std::size_t at = shown.out.find("\"entry\": \"") + 10;
  return shown.out.substr(at, shown.out.find('"', at) - at);
}

std::vector<Writer> writers(const Program& program) {
  const std::string spec = program.file("spec.json", kTwoHeads);
  const std::string one = to_text(RecordSet({sample_record(64)})).text;
  const std::string two = to_text(RecordSet({sample_record(64), sample_record(4096)})).text;
  const std::string records = program.file("records.jsonl", two);
  const std::string key = program.file("secret.pem",
                                       "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIOJbWgBMC+ew9X/"
                                       "ziLiACLEYsq/AhX/Kc4NjkjtecbMM\n-----END PRIVATE KEY-----\n");
  fill_directory(program.cache());
  const std::string pinned_class = sample_class().hash().substr(0, 12);
  const std::string entry = entry_of(program, spec);
  const auto is_bundle = [](const std::string& text) { return text.starts_with(kBundleMagic); };
  const auto is_two = [two](const std::string& text) { return text == two; };
  std::set<std::string> links = {"a link to a regular file", "links by way of another folder"};
  links.insert(kNoFiles.begin(), kNoFiles.end());
  std::set<std::string> none_yet = kNoFiles;
  none_yet.insert("nothing");

  return {
      {"records merge", "out", one,
       [=](const OutputPath& made) {
         return std::vector<std::string>{"records", "merge", records, "--out", made.path};
       },
       is_two},
      {"records pin", "out", two,
       [=](const OutputPath& made) {
         return std::vector<std::string>{"records",    "pin",      "--file", made.path,   "--class",
                                         pinned_class, "--tokens", "64",     "--variant", "flat_v4_h4_t128"};
       },
       [](const std::string& text) { return holds(text, "flat_v4_h4_t128"); }, none_yet},
      {"cache export", "out", "text",
       [=](const OutputPath& made) {
         return std::vector<std::string>{"cache", "export", "--force", "--out", made.path};
       },
       is_bundle},
      {"cache export --sign", "out", "text",
       [=](const OutputPath& made) {
         return std::vector<std::string>{"cache", "export", "--force", "--sign", key, "--out", made.path};
       },
       is_bundle, kNoFiles, true},
      {"cache export --sign, to the signature", "all.rjb.sig", "text",
       [=](const OutputPath& made) {
         return std::vector<std::string>{
             "cache", "export", "--force", "--sign", key, "--out", made.path.substr(0, made.path.size() - 4)};
       },
       [](const std::string& text) { return text.size() == 64; }, kNoFiles, true},
      {"cache manifest", "MANIFEST", "text",
       [=](const OutputPath& made) {
         return std::vector<std::string>{"cache", "manifest", "--cache-dir", fs::path(made.folder).parent_path()};
       },
       [](const std::string& text) { return text.empty(); }, links, true, false, false, "v1"},
      {"cache manifest --sign, to the signature", "MANIFEST.sig", "text",
       [=](const OutputPath& made) {
         return std::vector<std::string>{"cache", "manifest",    "--sign",
                                         key,     "--cache-dir", fs::path(made.folder).parent_path()};
       },
       [](const std::string& text) { return text.size() == 64; }, links, true, false, false, "v1"},
      {"source --out",
       entry + ".cu",
       "text",
       [=](const OutputPath& made) {
         return std::vector<std::string>{"source", "--model", spec, "--out", made.folder};
       },
       [entry](const std::string& text) { return holds(text, entry); },
       {},
       true},
      {"compile --out",
       entry + "." +
           [&] {
             const Finished info =
                 program({"compile", "--model", spec, "--arch", "host", "--out", program.folder / "c"});
             const auto files = files_below(program.folder / "c");
             return files.empty() ? std::string("none")
                                  : fs::path(files[0]).filename().string().substr(entry.size() + 1);
           }(),
       "text",
       [=](const OutputPath& made) {
         return std::vector<std::string>{"compile", "--model", spec, "--arch", "host", "--out", made.folder};
       },
       [](const std::string& text) {
         return text.starts_with(
             "\x7f"
             "ELF");
       },
       {},
       true},
      {"tune --records",
       "out",
       one,
       [=](const OutputPath& made) {
         return std::vector<std::string>{"tune", "--model",     spec,  "--device",  "host",   "--tokens",
                                         "1",    "--budget-ms", "500", "--records", made.path};
       },
       [](const std::string& text) { return holds(text, "\"tokens\":1,"); },
       {},
       false,
       true},
      {"ROPEJIT_RECORD",
       "out",
       "",
       [=](const OutputPath&) {
         return std::vector<std::string>{"run", "--model", spec, "--device", "host", "--tokens", "1"};
       },
       [](const std::string& text) { return holds(text, "\"variants\":["); },
       {"a pipe that is read"},
       false,
       false,
       true},
  };
}

}  // namespace

TEST_CASE("No command makes a path another kind of thing than it was", "[host]") {
  Program program;
  for (const Writer& writer : writers(program)) {
    const ScratchFolder scratch;
    for (const OutputPath& made : output_paths(scratch.path(), writer.file, writer.before, writer.inner)) {
      CAPTURE(writer.name, made.kind);
      const bool refused = made.becomes == Becomes::refused || writer.not_written.count(made.kind) != 0;
      // Found out before its work alone: a pipe is not opened to see who reads it.
      if (writer.only_refusals && (!refused || made.is_pipe())) continue;
      Program own;
      own.environment = program.environment;
      if (writer.warns) own.environment["ROPEJIT_RECORD"] = made.path;
      if (writer.warns) own.environment["ROPEJIT_ON_MISS"] = "generic";
      const auto before = shape_of(made.folder);
      const Finished ran = own(writer.words(made));
      CAPTURE(ran.err, ran.out);
      const bool works = !refused && made.becomes != Becomes::full;
      if (writer.warns) {
        CHECK(ran.status == 0);
        CHECK(holds(ran.err, "ROPEJIT_RECORD: ") == !works);
      } else if (works) {
        CHECK(ran.status == 0);
      } else {
        CHECK((ran.status == 1 || ran.status == 2));
        CHECK(ran.err.find("ropejit: ") == 0);
        CHECK(ran.err.find('\n') == ran.err.size() - 1);
      }
      if (works && !made.file.empty()) CHECK(writer.is_right(read_text(made.file)));
      if (works && made.is_pipe()) CHECK(writer.is_right(read_pipe(*made.held)));
      check_shape(made, before, works, writer.makes_more);
    }
  }
}

TEST_CASE("What goes to standard output by another name is not mixed with what is said of it") {
  const Program program;
  const std::string text = to_text(RecordSet({sample_record(64), sample_record(4096)})).text;
  const std::string records = program.file("records.jsonl", text);
  fill_directory(program.cache());
  for (const std::string& name :
       {std::string("/dev/stdout"), std::string("/dev/fd/1"), std::string("/proc/self/fd/1")}) {
    CAPTURE(name);
    struct stat before = {};
    struct stat after = {};
    if (::lstat(name.c_str(), &before) != 0) continue;
    const Finished merged = program({"records", "merge", records, "--out", name});
    CHECK(merged.status == 0);
    CHECK(merged.out == text);
    CHECK(holds(merged.err, "disagreed"));
    const Finished exported = program({"cache", "export", "--out", name, "--force"});
    CHECK(exported.status == 0);
    write_text(program.folder / "all.rjb", exported.out);
    CHECK(store_of(program.folder / "all.rjb").read("one").entry);
    REQUIRE(::lstat(name.c_str(), &after) == 0);
    CHECK(before.st_mode == after.st_mode);
  }
}

TEST_CASE("Something that is no folder in the place of one is refused, and stays") {
  const Program program;
  const std::string spec = program.file("spec.json", kTwoHeads);
  const std::string manifest = program.file("m.json", R"({"schema":1,"models":[{"name":"a","ropes":[{"rotary_dim":16,
      "q":{"heads":2,"head_dim":16}}]}],"dtypes":["bf16"],"forms":["plain"]})");
  const std::vector<std::vector<std::string>> commands = {{"source", "--model", spec},
                                                          {"compile", "--model", spec, "--arch", "host"},
                                                          {"warm", "--manifest", manifest, "--arch", "host"}};
  for (const std::vector<std::string>& command : commands) {
    const ScratchFolder scratch;
    for (const OutputPath& made : output_paths(scratch.path(), "out", "text")) {
      CAPTURE(command[0], made.kind);
      if (made.kind == "nothing" || made.kind.find("a directory") != std::string::npos ||
          made.kind == "a link to a directory") {
        continue;
      }
      const auto before = shape_of(made.folder);
      std::vector<std::string> words = command;
      words.insert(words.end(), {"--out", made.path});
      const Finished ran = program(words);
      CAPTURE(ran.err);
      CHECK(ran.status == 2);
      CHECK(ran.err.find('\n') == ran.err.size() - 1);
      CHECK(holds(ran.err, "allowed: a folder"));
      CHECK(shape_of(made.folder) == before);
    }
  }
}
