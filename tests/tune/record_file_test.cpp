#include "tune/record_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <thread>

#include "store/faulty_file_ops.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"
#include "tune/sample_records.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;

namespace {

const FileOps& real() { return system_file_ops(); }

std::string line(std::int64_t tokens) { return to_json_line(sample_record(tokens)) + "\n"; }

RecordSet set_of(std::initializer_list<std::int64_t> tokens) {
  RecordSet set;
  for (const std::int64_t each : tokens) set.add(sample_record(each));
  return set;
}

std::vector<std::int64_t> tokens_in(const RecordSet& set) {
  std::vector<std::int64_t> tokens;
  for (const TuningRecord& record : set.all()) tokens.push_back(record.tokens);
  return tokens;
}

using Tokens = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("Records that were written are read back, and equal sets are equal files") {
  const ScratchFolder scratch;
  const std::string path = records_path(scratch / "cache");
  CHECK(path == scratch / "cache/v1/records/records.jsonl");
  REQUIRE(write_records(real(), path, set_of({512, 128, 256})) == "");
  CHECK(read_text(path) == line(128) + line(256) + line(512));
  const RecordsRead read = read_records(real(), path);
  CHECK(read.problems.empty());
  CHECK_FALSE(read.absent);
  CHECK_FALSE(read.unreadable);
  CHECK(tokens_in(read.records) == Tokens{128, 256, 512});
  CHECK(to_text(read.records).text == read_text(path));
  CHECK(files_below(scratch.path()).size() == 1);
  struct stat status = {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("An absent file is an empty set and no problem, and no folder keeps nothing") {
  const ScratchFolder scratch;
  for (const std::string& path : {records_path(scratch / "cache"), records_path("")}) {
    const RecordsRead read = read_records(real(), path);
    CHECK(read.absent);
    CHECK_FALSE(read.unreadable);
    CHECK(read.problems.empty());
    CHECK(read.records.empty());
  }
  CHECK(records_path("").empty());
  CHECK(write_records(real(), "", set_of({1})) == "");
  const RecordsUpdate update = update_records(real(), "", [](RecordSet&) { FAIL("nothing to change"); });
  CHECK_FALSE(update.written);
  CHECK(update.problems.empty());
}

TEST_CASE("A bad line costs that line alone and is told by its number") {
  const RecordsRead read =
      parse_records(line(128) + "\nnonsense\n \t\r\n{\"record\":1}\n" + line(256) + line(512), "some.jsonl");
  CHECK(tokens_in(read.records) == Tokens{128, 256, 512});
  REQUIRE(read.problems.size() == 2);
  CHECK(read.problems[0].rfind("some.jsonl:3: ", 0) == 0);
  CHECK(read.problems[1].rfind("some.jsonl:5: device: missing", 0) == 0);
}

TEST_CASE("A file cut short anywhere loses its last line and no more") {
  const std::string text = line(128) + line(256);
  for (std::size_t bytes = line(128).size(); bytes <= text.size(); ++bytes) {
    const RecordsRead read = parse_records(text.substr(0, bytes), "cut.jsonl");
    INFO(bytes);
    const bool whole = bytes + 1 >= text.size();  // but for the end of the line
    CHECK(tokens_in(read.records) == (whole ? Tokens{128, 256} : Tokens{128}));
    CHECK(read.problems.size() == (whole || bytes == line(128).size() ? 0 : 1));
    if (!read.problems.empty()) {
      CHECK(read.problems[0].rfind("cut.jsonl:2: ", 0) == 0);
      CHECK(read.problems[0].find("the file ends in this line") != std::string::npos);
    }
  }
}

TEST_CASE("Many problems are ten and a number") {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "nonsense\n";
  const RecordsRead read = parse_records(text + line(128), "bad.jsonl");
  REQUIRE(read.problems.size() == 11);
  CHECK(read.problems[9].rfind("bad.jsonl:10: ", 0) == 0);
  CHECK(read.problems[10] == "bad.jsonl: and 15 more");
  CHECK(tokens_in(read.records) == Tokens{128});
}

TEST_CASE("Lines of a later version are kept as they are by whoever rewrites the file") {
  const ScratchFolder scratch;
  const std::string path = scratch / "records.jsonl";
  const std::string later = "{ \"record\" : 2,\t\"anything\":[1, 2.50] }";
  std::string other_variant = line(128);
  other_variant.replace(other_variant.find("flat_v8_h4_t128"), 15, "tiled_x2");
  write_text(path, later + "\n" + line(256) + "nonsense\n" + other_variant);
  const RecordsUpdate update =
      update_records(real(), path, [](RecordSet& records) { records.replace(sample_record(64)); });
  CHECK(update.written);
  REQUIRE(update.problems.size() == 3);
  CHECK(update.problems[0].find(":1: record: found version 2, allowed: 1; kept as it is") != std::string::npos);
  // In the order of their bytes, after what could be read.
  CHECK(read_text(path) == line(64) + line(256) + later + "\n" + other_variant);
  const std::string before = read_text(path);
  CHECK(update_records(real(), path, [](RecordSet&) {}).written);
  CHECK(read_text(path) == before);
}

TEST_CASE("A file that is there and cannot be trusted is one problem, and is left as it is") {
  const ScratchFolder scratch;
  struct Row {
    const char* name;
    void (*make)(const std::string&);
    const char* named;
  };
  const Row rows[] = {
      {"others_write", [](const std::string& path) { write_text(path, line(1)), ::chmod(path.c_str(), 0666); }, "0666"},
      {"folder", [](const std::string& path) { ::mkdir(path.c_str(), 0700); }, "not a regular file"},
      {"link to a folder", [](const std::string& path) { static_cast<void>(::symlink(".", path.c_str())); },
       "not a regular file"},
      {"huge",
       [](const std::string& path) {
         write_text(path, line(1));
         static_cast<void>(::truncate(path.c_str(), static_cast<off_t>(kMaxRecordsBytes) + 1));
       },
       "at most"},
  };
  for (const Row& row : rows) {
    const std::string path = scratch / row.name;
    row.make(path);
    const RecordsRead read = read_records(real(), path);
    INFO(row.name);
    CHECK(read.unreadable);
    CHECK_FALSE(read.absent);
    CHECK(read.records.empty());
    REQUIRE(read.problems.size() == 1);
    INFO(read.problems[0]);
    CHECK(read.problems[0].rfind(path + ": ", 0) == 0);
    if (std::string_view(row.named) != "0666") CHECK(read.problems[0].find(row.named) != std::string::npos);
    const RecordsUpdate update = update_records(real(), path, [](RecordSet& set) { set.add(sample_record(2)); });
    CHECK_FALSE(update.written);
    REQUIRE(update.problems.size() == 1);
    CHECK(update.problems[0].rfind(path + ": ", 0) == 0);
    CHECK(read_records(real(), path).problems == read.problems);
  }
}

TEST_CASE("A record that would not read back stops the write and leaves the file") {
  const ScratchFolder scratch;
  const std::string path = scratch / "records.jsonl";
  REQUIRE(write_records(real(), path, set_of({128})) == "");
  TuningRecord wrong = sample_record(256);
  wrong.variant = "fastest";
  const RecordsUpdate update = update_records(real(), path, [&](RecordSet& records) { records.add(wrong); });
  CHECK_FALSE(update.written);
  REQUIRE(update.problems.size() == 1);
  CHECK(update.problems[0].find("variant: found \"fastest\"") != std::string::npos);
  CHECK(read_text(path) == line(128));
}

TEST_CASE("An update that fails at any call leaves the old file whole, or the new one") {
  const std::string before = line(128);
  const std::string after = line(128) + line(256);
  // ENOENT is left out: a file that the system says is not there is a new one.
  for (const int error : {EIO, ENOSPC, EINTR, ESTALE, EACCES, EROFS, EMFILE, EDQUOT}) {
    std::set<std::string> failed;
    for (int at = 0;; ++at) {
      const ScratchFolder scratch;
      const std::string path = scratch / "records.jsonl";
      write_text(path, before);
      FaultyFileOps ops(at, error);
      ops.transfer_limit = 700;
      const RecordsUpdate update =
          update_records(ops, path, [](RecordSet& records) { records.replace(sample_record(256)); });
      INFO("errno " << error << " at call " << at << " (" << ops.failed() << ")");
      CHECK(ops.open_files() == 0);
      CHECK(files_below(scratch.path()).size() == 1);
      CHECK(read_text(path) == (update.written ? after : before));
      CHECK(update.problems.size() == (update.written ? 0 : 1));
      if (error == EINTR) CHECK(update.written);
      // To go on without a lock is better than not to keep what was tuned.
      if (ops.failed() == "lock") CHECK(update.written);
      if (ops.failed() == "write" || ops.failed() == "rename" || ops.failed() == "create") {
        CHECK(update.written == (error == EINTR));
      }
      if (ops.failed().empty()) break;
      failed.insert(ops.failed());
    }
    for (const char* call : {"open", "lock", "fstat", "read", "create", "write", "fsync", "close", "rename"}) {
      INFO(call);
      CHECK(failed.count(call) == 1);
    }
  }
}

TEST_CASE("A folder that cannot be written is a problem of the write, not of the read") {
  const ScratchFolder scratch;
  write_text(scratch / "file", "");
  const std::string path = records_path(scratch / "file");
  CHECK_FALSE(write_records(real(), path, set_of({1})).empty());
  const RecordsUpdate update = update_records(real(), path, [](RecordSet& set) { set.add(sample_record(1)); });
  CHECK_FALSE(update.written);
  CHECK(update.problems.size() == 1);
}

TEST_CASE("Updates at the same time all end up in the file") {
  const ScratchFolder scratch;
  const std::string path = records_path(scratch / "cache");
  constexpr int kThreads = 8;
  constexpr int kUpdates = 10;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kUpdates; ++i) {
        update_records(real(), path, [&](RecordSet& set) { set.replace(sample_record(1 + thread * kUpdates + i)); });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const RecordsRead read = read_records(real(), path);
  CHECK(read.problems.empty());
  CHECK(read.records.all().size() == kThreads * kUpdates);
  CHECK(files_below(scratch.path()).size() == 1);
}

TEST_CASE("A lock that is never given back does not stop an update") {
  const ScratchFolder scratch;
  const int folder = ::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY);
  REQUIRE(folder >= 0);
  REQUIRE(::flock(folder, LOCK_EX) == 0);
  const RecordsUpdate update =
      update_records(real(), scratch / "records.jsonl", [](RecordSet& set) { set.add(sample_record(1)); });
  ::close(folder);
  CHECK(update.written);
  CHECK(read_text(scratch / "records.jsonl") == line(1));
}

TEST_CASE("Records behind a link are read and changed there, and what is no file has none and stays what it is") {
  const ScratchFolder scratch;
  const std::string path = scratch / "mine.jsonl";
  const std::string link = scratch / "link";
  const auto add = [&](std::int64_t tokens) { return [tokens](RecordSet& set) { set.add(sample_record(tokens)); }; };
  std::filesystem::create_symlink("mine.jsonl", link);
  RecordsUpdate update = update_records(real(), link, add(1));
  CHECK_FALSE(update.written);  // the link leads nowhere
  CHECK(update.problems.size() == 1);
  CHECK(std::filesystem::is_symlink(link));
  REQUIRE(update_records(real(), path, add(1)).written);
  REQUIRE(update_records(real(), link, add(64)).written);
  CHECK(std::filesystem::is_symlink(link));
  CHECK(tokens_in(read_records(real(), path).records) == Tokens{1, 64});
  CHECK(tokens_in(read_records(real(), link).records) == Tokens{1, 64});

  const std::string folder = scratch / "folder";
  std::filesystem::create_directory(folder);
  REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  for (const std::string& other : {folder, scratch / "pipe"}) {
    CAPTURE(other);
    update = update_records(real(), other, add(1));
    CHECK_FALSE(update.written);
    CHECK(update.problems.size() == 1);
    CHECK_FALSE(std::filesystem::is_regular_file(other));
  }
  const int reader = ::open((scratch / "pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  REQUIRE(update_records(real(), scratch / "pipe", add(1)).written);
  char block[65536];
  const ssize_t got = ::read(reader, block, sizeof block);
  CHECK(std::string(block, static_cast<std::size_t>(std::max<ssize_t>(got, 0))) == line(1));
  ::close(reader);
}

TEST_CASE("In a cache directory nothing but a regular file is replaced") {
  const ScratchFolder scratch;
  const std::string path = records_path(scratch / "cache");
  REQUIRE(write_records(real(), path, set_of({1})) == "");
  std::filesystem::rename(path, scratch / "elsewhere");
  std::filesystem::create_symlink(scratch / "elsewhere", path);
  CHECK(write_records(real(), path, set_of({2})).find("found a symbolic link, allowed: a regular file") !=
        std::string::npos);
  CHECK(std::filesystem::is_symlink(path));
  CHECK(read_text(scratch / "elsewhere") == line(1));
}
