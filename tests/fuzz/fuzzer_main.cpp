// libFuzzer's entry points, and two of our own, given in place of a corpus:
//
//     fuzz_entry --write-seeds FOLDER      the seeds as files, for a corpus to begin with
//     fuzz_entry --write-dictionary FILE   the words of the seeds, for libFuzzer's -dict
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "fuzz/fuzzer.hpp"
#include "support/scratch_folder.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t limit);

namespace ropejit::test {
namespace {

std::string dictionary() {
  std::string text = "# words\n";  // libFuzzer takes no empty file
  for (const std::string& word : fuzzed::json_mutator().words()) {
    if (word.empty() || word.size() > 40) continue;
    text += '"';
    for (const char c : word) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    text += "\"\n";
  }
  return text;
}

void write_seeds(const std::string& folder) {
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const std::string& seed : fuzzed::seeds()) write_text(fmt::format("{}/seed{:03}", folder, number++), seed);
}

}  // namespace

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not true: %s\n", what);
  std::abort();
}

std::string mutate_bytes(const std::string& bytes, std::size_t limit) {
  std::string changed = bytes;
  changed.resize(std::max(bytes.size(), limit));
  changed.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(changed.data()), bytes.size(), limit));
  return changed;
}

}  // namespace ropejit::test

using namespace ropejit::test;

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  if (*count != 3) return 0;
  const std::string verb = (*arguments)[1];
  if (verb == "--write-seeds") {
    write_seeds((*arguments)[2]);
    std::exit(0);
  }
  if (verb == "--write-dictionary") {
    write_text((*arguments)[2], dictionary());
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of its own size: whoever reads beyond the end is seen by the address sanitizer.
  const std::vector<char> copy(data, data + size);
  fuzzed::check(std::string_view(copy.data(), copy.size()));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t limit,
                                               unsigned int seed) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::string changed = fuzzed::mutate(input, limit, seed);
  const std::size_t bytes = std::min(changed.size(), limit);
  std::memcpy(data, changed.data(), bytes);
  return bytes;
}
