#include "service/events.hpp"

namespace ropejit::internal {
namespace {

// A process that lives for months must not remember every line that it ever said.
constexpr std::size_t kMostRemembered = 1000;

void tell(const Events::Sink& sink, std::string_view line) {
  if (!sink) return;
  try {
    sink(line);
  } catch (...) {
    // What a host's sink does may not fail a get; it was told not to throw.
  }
}

}  // namespace

void Events::warn_of(const std::string& directory, const std::string& line) {
  const std::size_t colon = line.rfind(": ");
  warn_once(directory + '\n' + (colon == std::string::npos ? line : line.substr(colon)), line);
}

void Events::warn_once(const std::string& what, const std::string& line) {
  const bool is_new = told_.with([&](Told& told) {
    if (told.lines.size() >= kMostRemembered) told.lines.clear();
    if (!told.lines.insert(what).second) return false;
    ++told.stats.warnings;
    return true;
  });
  if (!is_new) return;
  tell(warn_, line);
  tell(log_, line);
}

void Events::note(const std::string& line) { tell(log_, line); }

}  // namespace ropejit::internal
