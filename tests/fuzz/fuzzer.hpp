// One fuzzer: a reader of bytes from outside, where inputs begin, and what must be true of every one.
//
// Each *_fuzzer.cpp defines the functions of namespace `fuzzed` and is linked with fuzzer_main.cpp into a program of
// libFuzzer. The only exception that may leave a reader is ropejit::Error, and `check` catches it where it is expected;
// anything else, and `require` of what is false, ends the program, and libFuzzer keeps the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/json_mutator.hpp"

namespace ropejit::test::fuzzed {

/// Valid inputs, the same at every call: what the corpus begins with.
std::vector<std::string> seeds();

/// Changes the JSON that is in its inputs, if any; its words are libFuzzer's dictionary too.
const JsonMutator& json_mutator();

/// Reads `input` and checks what came of it.
void check(std::string_view input);

/// Another input, made of `input`; at most `limit` bytes. The same for the same arguments and libFuzzer's state.
std::string mutate(const std::string& input, std::size_t limit, std::uint32_t seed);

}  // namespace ropejit::test::fuzzed

namespace ropejit::test {

/// Ends the program with `what` where `condition` is false.
void require(bool condition, const char* what);

/// libFuzzer's own mutation of some bytes.
std::string mutate_bytes(const std::string& bytes, std::size_t limit);

}  // namespace ropejit::test
