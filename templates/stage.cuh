// What is done to an operand's lanes between load and store, by number and by word. Shared by device code and by the
// library's host code.
#pragma once

namespace ropejit {

// A stage that a spec asks for stands in its operand's list, in the order in which lanes go through them.
enum class Stage : unsigned {
  none,         // past the end of a list
  rotate,       // the lanes that rotate are turned by their angles
  norm,         // the lanes of a row are divided by what they come to together, and multiplied by weights
  bias,         // a number of its own is added to each lane of each head
  clamp,        // lanes are held within a limit and its negative
  scale,        // lanes are multiplied by a constant
  head_scale,   // lanes are multiplied by a number of their head's
  temperature,  // lanes are multiplied by a number that grows with the token's position
};

// A list has so many places. It is no constexpr variable, as the compiler would keep one as data in every binary.
enum : unsigned { MostStages = 8 };

// A stage's word, as generated source and the names of kernels have it.
constexpr const char* word_of(Stage stage) {
  switch (stage) {
    case Stage::none: return "none";
    case Stage::rotate: return "rotate";
    case Stage::norm: return "norm";
    case Stage::bias: return "bias";
    case Stage::clamp: return "clamp";
    case Stage::scale: return "scale";
    case Stage::head_scale: return "head_scale";
    case Stage::temperature: return "temperature";
  }
  return "";
}

}  // namespace ropejit
