// What is done to an operand's lanes between load and store, by number and by word. Shared by device code and by the
// library's host code.
#pragma once

namespace ropejit {

// A stage that a spec asks for stands in its operand's list, in the order in which lanes go through them.
enum class Stage : unsigned {
  none,    // past the end of a list
  rotate,  // the lanes that rotate are turned by their angles
  norm,    // all lanes of a head are divided by their root mean square, and multiplied by weights
};

// A list has so many places. It is no constexpr variable, as the compiler would keep one as data in every binary.
enum : unsigned { MostStages = 4 };

// A stage's word, as generated source and the names of kernels have it.
constexpr const char* word_of(Stage stage) {
  switch (stage) {
    case Stage::none: return "none";
    case Stage::rotate: return "rotate";
    case Stage::norm: return "norm";
  }
  return "";
}

}  // namespace ropejit
