// warm: what it makes, resumes, divides and survives; and that a service finds it.
#include "deploy/warm.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>

#include "deploy/sample_manifests.hpp"
#include "host/host_compiler.hpp"
#include "ropejit/ropejit.hpp"
#include "support/catch.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;

const std::string kSeveral =
    R"({"schema":1,"models":["Qwen/Qwen2.5-7B","tiiuae/falcon-7b"],"dtypes":["bf16","fp16"],"forms":["plain","vllm"]})";

WarmList fake_list(const std::shared_ptr<const test::FakeTarget>& target, std::string_view manifest = kSeveral) {
  return test::list_of(manifest, {test::fake_warm_target(target)});
}

/// Entries by their paths below the directory; nothing else is said to be there.
std::map<std::string, std::string> entries_in(const std::string& directory) {
  std::map<std::string, std::string> entries;
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory)) {
    if (!file.is_regular_file()) continue;
    const std::string path = std::filesystem::relative(file.path(), directory).string();
    if (path.ends_with(".rje")) entries[path] = test::read_text(file.path().string());
  }
  return entries;
}

}  // namespace

TEST_CASE("warm makes what is not there, and counts") {
  const test::ScratchFolder folder;
  const auto target = std::make_shared<const test::FakeTarget>();
  const WarmList list = fake_list(target);
  const BinaryStore store(folder.path());
  REQUIRE(list.items.size() > 50);
  CHECK(missing_items(list, store).size() == list.items.size());

  std::size_t told = 0;
  bool ordered = true;
  const auto progress = [&](const WarmProgress& now) { ordered = ordered && now.done() == ++told; };
  const WarmProgress first = warm(list, store, {1, progress});
  CHECK(first.total == list.items.size());
  CHECK(first.compiled == list.items.size());
  CHECK(first.failures.empty());
  CHECK(first.bytes > 0);
  CHECK(told == list.items.size());
  CHECK(ordered);
  CHECK(target->compiles() == static_cast<int>(list.items.size()));
  CHECK(missing_items(list, store).empty());

  const WarmProgress again = warm(list, store, {1});
  CHECK(again.present == list.items.size());
  CHECK(again.compiled == 0);
  CHECK(target->compiles() == static_cast<int>(list.items.size()));
  for (const EntryListing& entry : store.list()) {
    REQUIRE(entry.metadata);
    CHECK(entry.metadata->compile_ms == 0);
    CHECK(entry.metadata->arch == "sm_90");
  }
}

TEST_CASE("Processes make what one makes, byte for byte, and tell of failures as it does") {
  const auto target = std::make_shared<const test::FakeTarget>();
  const WarmList list = fake_list(target);
  const test::ScratchFolder one;
  const test::ScratchFolder several;
  warm(list, BinaryStore(one.path()), {1});
  std::size_t told = 0;
  const WarmProgress done = warm(list, BinaryStore(several.path()), {3, [&](const WarmProgress&) { ++told; }});
  CHECK(done.compiled == list.items.size());
  CHECK(done.bytes > 0);
  CHECK(told == list.items.size());
  CHECK(entries_in(several.path()) == entries_in(one.path()));
  CHECK(target->compiles() == static_cast<int>(list.items.size()));  // those of this process alone
  CHECK(warm(list, BinaryStore(several.path()), {3}).present == list.items.size());

  const test::ScratchFolder failing;
  const auto poor = std::make_shared<const test::FakeTarget>([](int number) {
    if (number == 3) throw Error(ErrorCode::compile_failed, "compile", "no", "in line 7");
  });
  const WarmProgress some = warm(fake_list(poor), BinaryStore(failing.path()), {2});
  REQUIRE(some.failures.size() == 2);  // the third of each
  CHECK(some.compiled == list.items.size() - 2);
  CHECK(some.failures[0].reason == "no");
  CHECK(some.failures[0].log == "in line 7");
  CHECK_FALSE(some.failures[0].entry.empty());
}

TEST_CASE("A compiler that ends its process costs one binary each time, and ten times the rest") {
  const test::ScratchFolder folder;
  const BinaryStore store(folder.path());
  // Of each process the twentieth.
  const auto target = std::make_shared<const test::FakeTarget>([](int number) {
    if (number == 20) ::kill(::getpid(), SIGKILL);
  });
  const WarmList list = fake_list(target);
  const WarmProgress done = warm(list, store, {2});
  REQUIRE_FALSE(done.failures.empty());
  CHECK_FALSE(done.given_up);
  CHECK(done.compiled + done.failures.size() == list.items.size());
  CHECK(done.failures[0].reason == "the process that compiled it ended: signal 9");
  CHECK(warm(list, store, {2}).compiled == done.failures.size());

  const test::ScratchFolder other;
  const auto deadly = std::make_shared<const test::FakeTarget>([](int) { ::_exit(3); });
  const WarmProgress none = warm(fake_list(deadly), BinaryStore(other.path()), {2});
  CHECK(none.given_up);
  CHECK(none.failures.size() >= 10);
  CHECK(none.failures.size() <= 11);
  CHECK(none.failures[0].reason == "the process that compiled it ended: status 3");
}

TEST_CASE("Shards have nothing in common, are the whole together, and merged the same bytes as one run") {
  const auto target = std::make_shared<const test::FakeTarget>();
  const WarmList list = fake_list(target);
  const test::ScratchFolder whole;
  warm(list, BinaryStore(whole.path()), {2});
  for (const std::uint64_t count : {1U, 2U, 3U, 7U}) {
    const test::ScratchFolder merged;
    std::set<std::string> keys;
    for (std::uint64_t index = 1; index <= count; ++index) {
      WarmList part = list;
      keep_shard(part, {index, count});
      for (const WarmItem& item : part.items) CHECK(keys.insert(item.key).second);
      const test::ScratchFolder own;
      CHECK(warm(part, BinaryStore(own.path()), {1}).compiled == part.items.size());
      std::filesystem::copy(
          own.path(), merged.path(),
          std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    }
    INFO(count);
    CHECK(keys.size() == list.items.size());
    CHECK(entries_in(merged.path()) == entries_in(whole.path()));
  }
}

TEST_CASE("A shard is I/N") {
  Problems problems;
  const Shard shard = read_shard("--shard", "2/8", problems);
  CHECK(shard.index == 2);
  CHECK(shard.count == 8);
  CHECK(problems.empty());
  const char* const wrong[] = {"",     "1",     "/",    "0/2",     "3/2", "1/0",
                               "-1/2", "1/2/3", "1 /2", "1/65537", "a/b", "1/99999999999999999999"};
  for (const char* text : wrong) read_shard("--shard", text, problems);
  CHECK(problems.size() == std::size(wrong));
}

TEST_CASE("What was killed half-way is resumed: nothing is made twice, and nothing is half") {
  const test::ScratchFolder folder;
  constexpr int kKilledAt = 9;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto killed = std::make_shared<const test::FakeTarget>([](int number) {
      if (number == kKilledAt) ::kill(::getpid(), SIGKILL);
    });
    warm(fake_list(killed), BinaryStore(folder.path()), {1});
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));

  const auto target = std::make_shared<const test::FakeTarget>();
  const WarmList list = fake_list(target);
  const WarmProgress resumed = warm(list, BinaryStore(folder.path()), {1});
  CHECK(resumed.present == kKilledAt - 1);
  CHECK(resumed.compiled == list.items.size() - (kKilledAt - 1));
  const test::ScratchFolder whole;
  warm(list, BinaryStore(whole.path()), {1});
  CHECK(entries_in(folder.path()) == entries_in(whole.path()));
}

TEST_CASE("A compile that fails is told of, and the rest goes on") {
  const auto target = std::make_shared<const test::FakeTarget>([](int number) {
    if (number == 3) throw Error(ErrorCode::compile_failed, "compile", "no", "in line 7");
    if (number == 5) throw std::runtime_error("bad\nluck");
  });
  const WarmList list = fake_list(target);
  const test::ScratchFolder folder;
  const BinaryStore store(folder.path());
  const WarmProgress done = warm(list, store, {1});
  REQUIRE(done.failures.size() == 2);
  CHECK(done.compiled == list.items.size() - 2);
  CHECK_FALSE(done.given_up);
  CHECK(done.failures[0].reason == "no");
  CHECK(done.failures[0].log == "in line 7");
  CHECK(done.failures[0].arch == "sm_90");
  CHECK(done.failures[0].what.find("Qwen/Qwen2.5-7B") == 0);
  CHECK_FALSE(done.failures[0].entry.empty());
  CHECK(done.failures[1].reason == "bad\\nluck");
  const std::vector<MissingItem> missing = missing_items(list, store);
  REQUIRE(missing.size() == 2);
  CHECK(missing[0].item == 2);
  CHECK(missing[1].item == 4);
  CHECK(warm(list, store, {1}).compiled == 2);
}

TEST_CASE("A directory that takes nothing ends it, with the reason") {
  const test::ScratchFolder folder;
  test::write_text(folder / "file", "not a directory");
  const auto target = std::make_shared<const test::FakeTarget>();
  const WarmList list = fake_list(target);
  const WarmProgress done = warm(list, BinaryStore(folder / "file"), {1});
  CHECK(done.given_up);
  CHECK(done.failures.size() == 10);
  CHECK(target->compiles() == 10);
  CHECK(done.failures[0].reason.find("is not kept: ") == 0);
}

TEST_CASE("A damaged entry is made anew, and one of a read-only directory need not be made") {
  const test::ScratchFolder shared;
  const auto target = std::make_shared<const test::FakeTarget>();
  const WarmList list = fake_list(target, test::kSmallManifest);
  warm(list, BinaryStore(shared.path()), {1});
  const std::string path = shared / entries_in(shared.path()).begin()->first;
  const std::string whole = test::read_text(path);
  test::write_text(path, whole.substr(0, whole.size() - 1));

  const test::ScratchFolder own;
  StoreOptions options;
  options.directory = own.path();
  options.read_only = {shared.path()};
  CHECK(missing_items(list, BinaryStore(options)).size() == 1);
  CHECK(warm(list, BinaryStore(options), {1}).compiled == 1);
  CHECK(entries_in(own.path()).size() == 1);
  CHECK(warm(list, BinaryStore(shared.path()), {1}).compiled == 1);
  CHECK(test::read_text(path) == whole);
}

TEST_CASE("Compilers that cannot be had are all told of before anything is made") {
  const test::ScopedVariable nowhere("ROPEJIT_NVRTC", "/nonexistent/libnvrtc.so");
  const test::ScopedVariable no_compiler("ROPEJIT_HOST_CXX", "/nonexistent/c++");
  const WarmList list =
      test::list_of(test::kSmallManifest, {warm_target("sm_90", {}, {}), warm_target(kHostArch, {}, {})});
  Problems unknown;
  Problems absent;
  require_compilers(list, unknown, absent);
  CHECK(unknown.empty());
  CHECK(absent.size() == 2);
  // To list and to look needs none.
  const test::ScratchFolder folder;
  CHECK(missing_items(list, BinaryStore(folder.path())).size() == list.items.size());
}

TEST_CASE(
    "A service serves every plan of what was warmed, without a compiler, from its own directory or a shared one") {
  const test::ScratchFolder folder;
  const WarmList list = test::list_of(test::kSmallManifest, {warm_target(kHostArch, {}, {})});
  const WarmProgress done = warm(list, BinaryStore(folder.path()), {2});
  for (const WarmFailure& failure : done.failures) FAIL_CHECK(failure.reason << failure.log);
  REQUIRE(done.compiled == list.items.size());

  const auto all_are = [](const RopeKernel& kernel, CacheRung rung, const char* variant_part) {
    bool right = true;
    for (const VariantInfo& variant : kernel.info().variants) {
      right = right && variant.cache == rung && variant.variant.find(variant_part) != std::string::npos;
    }
    return right && !kernel.info().variants.empty();
  };
  RopeSpec spec;
  spec.dtype = DType::fp32;
  spec.rotary_dim = 4;
  spec.q = {2, 4, 0};
  ServiceOptions options;
  options.device = "host";
  options.on_miss = OnMiss::error;
  options.host_compiler = "/nonexistent/c++";
  for (const bool is_shared : {false, true}) {
    INFO(is_shared);
    const test::ScratchFolder own;
    const test::ScopedVariable path("ROPEJIT_CACHE_PATH", is_shared ? folder.path().c_str() : "");
    options.cache_dir = is_shared ? own.path() : folder.path();
    const CacheRung rung = is_shared ? CacheRung::shared : CacheRung::disk;
    const RopeService service(options);
    for (const double theta : {10000.0, 500.0}) {
      spec.theta = theta;
      CHECK(all_are(service.get(spec, LaunchForm::in_place_start()), rung, ""));
    }
    CHECK(service.stats().buffered_hits == 0);
    // A theta that nobody thought of: the class's own.
    spec.theta = 77;
    CHECK(all_are(service.get(spec, LaunchForm::in_place_start()), rung, "_buffer"));
    CHECK(service.stats().compiles == 0);
  }
}
