// Everything that is wrong with an input, a line each: whoever wrote a manifest wants to know all of it at once.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "ropejit/error.hpp"

namespace ropejit::internal {

class Problems {
 public:
  /// A line that names the place, what was found and what is allowed.
  void add(std::string line) { lines_.push_back(std::move(line)); }

  /// Runs `work`; an Error that it throws becomes a line, with "WHERE: " before it (none for an empty `where`). Whether
  /// there was none. What is no fault of an input (ErrorCode::internal) is thrown on.
  template <class Work>
  bool attempt(const std::string& where, const Work& work) {
    try {
      work();
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal) throw;
      add(where.empty() ? std::string(error.what()) : where + ": " + error.what());
      return false;
    }
  }

  bool empty() const { return lines_.empty(); }
  std::size_t size() const { return lines_.size(); }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

}  // namespace ropejit::internal
