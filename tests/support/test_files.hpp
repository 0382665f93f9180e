// Files that tests read: models, goldens.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace ropejit::test {

/// The folder tests/: the environment variable ROPEJIT_TEST_DATA, else where it was when the tests were built.
inline std::string test_data_dir() {
  const char* moved = std::getenv("ROPEJIT_TEST_DATA");
  return moved != nullptr ? moved : ROPEJIT_TEST_DATA;
}

/// The text of a file under tests/, such as "data/models/llama-3.1-8b.json". Throws where it cannot be read.
inline std::string read_test_file(const std::string& name) {
  const std::string path = test_data_dir() + "/" + name;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace ropejit::test
