#include "store/bundle/import.hpp"

#include <fmt/format.h>

#include <utility>

namespace ropejit::internal {

std::string verify_bundle(const Bundle& bundle) {
  const BundleIndex& index = bundle.index();
  for (std::size_t number = 0; number < index.size(); ++number) {
    const std::string key = index.key(number);
    if (const ReadResult read = bundle.read_key(key); !read.entry) {
      return fmt::format("entry {}: {}", key, read.miss.reason);
    }
  }
  const TierRecords records = bundle.records();
  return records.text || records.miss.kind == Miss::Kind::absent ? "" : records.miss.reason;
}

Imported import_entries(const Bundle& bundle, const Tier& into) {
  Imported imported;
  const BundleIndex& index = bundle.index();
  for (std::size_t number = 0; number < index.size(); ++number) {
    const std::string key = index.key(number);
    if (into.read_key(key).entry) {
      ++imported.kept;
      continue;
    }
    const ReadResult read = bundle.read_key(key);
    std::string problem = read.entry ? into.write(*read.entry) : read.miss.reason;
    if (problem.empty()) {
      ++imported.written;
    } else {
      imported.failed.push_back(fmt::format("{}: {}", key, problem));
    }
  }
  return imported;
}

}  // namespace ropejit::internal
