// Unpacks the entries of a bundle into a cache directory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "store/bundle/bundle.hpp"
#include "store/tier.hpp"

namespace ropejit::internal {

/// Reads every entry and the records. Empty where all are whole, else what is not, in one line.
std::string verify_bundle(const Bundle& bundle);

struct Imported {
  std::size_t written = 0;
  std::size_t kept = 0;             ///< were there, and whole
  std::vector<std::string> failed;  ///< "KEY: why", for those that are not there now
};

/// Writes the entries that are not there yet, or not whole, each as the store writes. For a bundle that was verified.
Imported import_entries(const Bundle& bundle, const Tier& into);

}  // namespace ropejit::internal
