// Making bundles, and unpacking them.
#include "store/bundle/writer.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <stdexcept>

#include "store/bundle/bundle.hpp"
#include "store/sample_bundles.hpp"
#include "support/catch.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit::internal;
using namespace ropejit::test;
namespace fs = std::filesystem;

TEST_CASE("The same entries make the same bytes, wherever, whenever and from whatever they are exported") {
  const Bundled b;
  const std::string bytes = read_text(b.path);
  export_all(b.directory, b.scratch / "again.rjb");
  CHECK(read_text(b.scratch / "again.rjb") == bytes);

  // Another machine took other times, and wrote in another order.
  const std::string other = b.scratch / "other";
  for (auto preimage = kBundled.rbegin(); preimage != kBundled.rend(); ++preimage) {
    Entry entry = sample_entry(*preimage);
    entry.metadata.compile_ms = 4711.5;
    REQUIRE(BinaryStore(other).write(entry) == "");
  }
  export_all(other, b.scratch / "other.rjb");
  CHECK(read_text(b.scratch / "other.rjb") == bytes);

  const BundleOpened opened = Bundle::open(system_file_ops(), {}, b.path);
  REQUIRE(opened.bundle);
  const std::string imported = b.scratch / "imported";
  CHECK(import_entries(*opened.bundle, directory_tier(imported)).written == 3);
  export_all(imported, b.scratch / "imported.rjb");
  CHECK(read_text(b.scratch / "imported.rjb") == bytes);

  export_all(b.path, b.scratch / "bundle.rjb");
  CHECK(read_text(b.scratch / "bundle.rjb") == bytes);

  // Other entries, other bytes.
  REQUIRE(BinaryStore(other).write(sample_entry("four")) == "");
  CHECK(export_all(other, b.scratch / "other.rjb").digest != b.written.digest);
}

TEST_CASE("An import writes what is missing or damaged, and leaves what is whole") {
  const Bundled b;
  const BundleOpened opened = Bundle::open(system_file_ops(), {}, b.path);
  REQUIRE(opened.bundle);
  CHECK(verify_bundle(*opened.bundle) == "");
  const std::string into = b.scratch / "into";
  const Entry own = sample_entry("one", 7);
  REQUIRE(BinaryStore(into).write(own) == "");
  REQUIRE(BinaryStore(into).write(sample_entry("two")) == "");
  write_text(entry_file(into, "two"), "damaged");
  const Imported imported = import_entries(*opened.bundle, directory_tier(into));
  CHECK(imported.written == 2);
  CHECK(imported.kept == 1);
  CHECK(imported.failed.empty());
  CHECK(same(*BinaryStore(into).read("one").entry, own));
  CHECK(same(*BinaryStore(into).read("two").entry, bundled("two")));
  const Imported again = import_entries(*opened.bundle, directory_tier(into));
  CHECK(again.written == 0);
  CHECK(again.kept == 3);

  const Imported nowhere = import_entries(*opened.bundle, directory_tier(b.path));
  CHECK(nowhere.kept == 3);  // all of it is in the bundle itself
  const std::string file = b.scratch / "file";
  write_text(file, "");
  const Imported refused = import_entries(*opened.bundle, directory_tier(file));
  CHECK(refused.written == 0);
  REQUIRE(refused.failed.size() == 3);
  for (const std::string& line : refused.failed) CHECK(one_line(line));
}

TEST_CASE("An export leaves out what cannot be used, and says so; what changes meanwhile is no bundle") {
  const Bundled b;
  write_text(entry_file(b.directory, "two"), "damaged");
  const std::string path = b.scratch / "two.rjb";
  BundleRequest request;
  request.path = path;
  const Tier source = directory_tier(b.directory);
  BundleWritten written = write_bundle(system_file_ops(), source, request);
  CHECK(written.problem == "");
  CHECK(written.entries == 2);
  REQUIRE(written.left_out.size() == 1);
  CHECK(written.left_out[0].find(entry_key("two")) == 0);

  const std::string before = read_text(path);
  request.accepts = [&] { fs::remove(entry_file(b.directory, "one")); };
  written = write_bundle(system_file_ops(), source, request);
  CHECK(written.problem.find("changed while it was exported") != std::string::npos);
  CHECK(read_text(path) == before);
  request.accepts = [&] { REQUIRE(BinaryStore(b.directory).write(sample_entry("three", 41)) == ""); };
  CHECK(write_bundle(system_file_ops(), source, request).problem.find("changed while") != std::string::npos);
  CHECK(read_text(path) == before);
  request.accepts = [] { throw std::runtime_error("no"); };
  CHECK_THROWS_AS(write_bundle(system_file_ops(), source, request), std::runtime_error);
  CHECK(read_text(path) == before);
}

TEST_CASE("An export replaces bundles, and other files if it is told to; never what is no file or device") {
  const Bundled b;
  const Tier source = directory_tier(b.directory);
  BundleRequest request;
  request.path = b.scratch / "precious";
  write_text(request.path, "text");
  BundleWritten written = write_bundle(system_file_ops(), source, request);
  CHECK(written.in_the_way);
  CHECK(written.problem.find("found a file that is no bundle") != std::string::npos);
  CHECK(read_text(request.path) == "text");
  request.replaces_anything = true;
  CHECK(write_bundle(system_file_ops(), source, request).problem == "");
  CHECK(store_of(request.path).read("one").entry);
  request.replaces_anything = false;
  CHECK(write_bundle(system_file_ops(), source, request).problem == "");
  request.replaces_anything = true;
  for (const std::string& path : {b.directory, b.scratch / "pipe", b.scratch.path() + "/"}) {
    INFO(path);
    ::mkfifo((b.scratch / "pipe").c_str(), 0600);
    request.path = path;
    written = write_bundle(system_file_ops(), source, request);
    CHECK(written.in_the_way == (path != b.scratch / "pipe"));
    CHECK(one_line(written.problem));
    CHECK_FALSE(fs::is_regular_file(path));
  }
  request.path = b.scratch / "nowhere/all.rjb";
  written = write_bundle(system_file_ops(), source, request);
  CHECK_FALSE(written.in_the_way);
  CHECK(written.problem.find("No such file or directory") != std::string::npos);
}
