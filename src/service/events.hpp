// What a service tells its host: lines to two sinks, and counts. One place, so that all events are told alike.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "ropejit/stats.hpp"
#include "support/per_process.hpp"

namespace ropejit::internal {

/// Thread-safe. In a child of fork counts begin anew.
class Events {
 public:
  using Sink = std::function<void(std::string_view line)>;

  /// Sinks may be empty. One that throws is taken to have heard.
  Events(Sink warn, Sink log) : warn_(std::move(warn)), log_(std::move(log)) {}

  /// Sends a line to both sinks, the first time that it is said (among the latest thousand).
  void warn(const std::string& line) { warn_once(line, line); }
  /// The same for what is wrong with a directory, which shows at every file in it and is one thing to a person: said
  /// once for each cause. The cause is what stands last in the line, behind a colon.
  void warn_of(const std::string& directory, const std::string& line);
  /// Sends a line to the log alone.
  void note(const std::string& line);
  /// Whether anybody hears notes, which need not be put together otherwise.
  bool takes_notes() const { return static_cast<bool>(log_); }

  template <class Change>
  void count(const Change& change) {
    told_.with([&](Told& told) { change(told.stats); });
  }
  ServiceStats stats() const {
    return told_.with([](Told& told) { return told.stats; });
  }

 private:
  struct Told {
    ServiceStats stats;
    std::set<std::string> lines;
  };

  void warn_once(const std::string& what, const std::string& line);

  const Sink warn_;
  const Sink log_;
  PerProcess<Told> told_;
};

}  // namespace ropejit::internal
