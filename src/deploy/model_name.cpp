#include "deploy/model_name.hpp"

#include <llvm/ADT/STLExtras.h>
#include <llvm/ADT/StringRef.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

namespace ropejit::internal {
namespace {

constexpr std::size_t kMostNear = 3;
constexpr std::size_t kMostLetters = 4;  // that a near name differs by
constexpr std::size_t kFar = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kLeastBeginning = 4;  // letters: many names go on from fewer

llvm::StringRef without_organisation(llvm::StringRef name) {
  const std::size_t slash = name.find('/');
  return slash == llvm::StringRef::npos ? name : name.substr(slash + 1);
}

// A word of one piece, "4b" or "instruct", means no model, though it may be the end of one name alone. After an
// organisation, an end of what that organisation calls it: "meta-llama/Llama-3.1-8B" of "meta-llama/Meta-Llama-3.1-8B".
bool ends_in(llvm::StringRef name, llvm::StringRef word) {
  const auto [organisation, rest] = word.split('/');
  if (!rest.empty() && organisation.equals_insensitive(name.split('/').first)) {
    name = name.split('/').second;
    word = rest;
  }
  if (word.find_first_of("-/") == llvm::StringRef::npos || word.size() >= name.size() ||
      !name.ends_with_insensitive(word))
    return false;
  const char before = name[name.size() - word.size() - 1];
  return before == '/' || before == '-';
}

// One of them goes on where the other ends: a name at any letter, a word at a '-'.
bool goes_on(llvm::StringRef word, llvm::StringRef end) {
  if (end.starts_with(word)) return word.size() >= kLeastBeginning;
  return end.size() >= kLeastBeginning && word.starts_with(end) && word[end.size()] == '-';
}

// How many letters a word is from one end of a name.
std::size_t distance(llvm::StringRef word, llvm::StringRef end) {
  if (word == end || goes_on(word, end)) return 0;
  const std::size_t most = std::min(word.size() / 4, kMostLetters);
  const std::size_t longer = std::max(word.size(), end.size()) - std::min(word.size(), end.size());
  if (most == 0 || longer > most) return kFar;
  const std::size_t letters = word.edit_distance(end, true, static_cast<unsigned>(most));
  return letters <= most ? letters : kFar;
}

// From the end of a name that it is nearest to, the whole name among them. Both in lower case.
std::size_t distance_to_nearest_end(llvm::StringRef word, llvm::StringRef name) {
  std::size_t least = distance(word, name);
  for (std::size_t at = name.find_first_of("/-"); at != llvm::StringRef::npos; at = name.find_first_of("/-", at + 1)) {
    least = std::min(least, distance(word, name.substr(at + 1)));
  }
  return least;
}

}  // namespace

std::vector<const WarmModel*> models_named(std::string_view word, const std::vector<WarmModel>& known) {
  const auto those = [&](const auto& is_meant) {
    std::vector<const WarmModel*> found;
    for (const WarmModel& model : known) {
      if (is_meant(llvm::StringRef(model.name))) found.push_back(&model);
    }
    return found;
  };
  const llvm::StringRef given(word.data(), word.size());
  if (auto whole = those([&](llvm::StringRef name) { return name.equals_insensitive(given); }); !whole.empty()) {
    return whole;
  }
  auto plain = those([&](llvm::StringRef name) { return without_organisation(name).equals_insensitive(given); });
  if (!plain.empty()) return plain;
  return those([&](llvm::StringRef name) { return ends_in(name, given); });
}

std::vector<std::string> near_names(std::string_view word, const std::vector<WarmModel>& known) {
  const std::string whole = llvm::StringRef(word.data(), word.size()).lower();
  const llvm::StringRef plain = without_organisation(whole);
  std::vector<std::pair<std::size_t, const WarmModel*>> near;
  for (const WarmModel& model : known) {
    const std::string name = without_organisation(model.name).lower();
    const std::size_t letters = std::min(distance_to_nearest_end(whole, name), distance_to_nearest_end(plain, name));
    if (letters != kFar) near.emplace_back(letters, &model);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (const auto& [letters, model] : llvm::ArrayRef(near).take_front(kMostNear)) {
    if (letters == near.front().first) names.push_back(model->name);
  }
  return names;
}

}  // namespace ropejit::internal
