#include "deploy/warm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "deploy/warm_workers.hpp"
#include "support/parallel.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kHashDigits = 16;
constexpr std::uint64_t kMostShards = 65'536;
constexpr int kRefusalsInARow = 10;

/// What came of an item.
struct Outcome {
  enum class Kind : char { present = 'p', compiled = 'c', failed = 'f', refused = 'r' };
  Kind kind = Kind::present;
  std::uint64_t bytes = 0;  ///< for compiled: the size of the image
  std::string entry = {};   ///< for failed and refused, as what follows; refused: the directory did not take it
  std::string reason = {};
  std::string log = {};
};

Outcome make(const WarmList& list, const WarmItem& item, const BinaryStore& store) {
  std::string entry;
  try {
    const KeyedSource source = list.source(item);
    entry = source.source.entry;
    if (store.read(source.preimage).entry) return {Outcome::Kind::present};
    CompiledBinary compiled = list.targets[item.target].build->compiler().compile(source.source);
    compiled.compile_ms = 0;
    if (const std::string refused = store.write(source.entry(compiled)); !refused.empty()) {
      return {Outcome::Kind::refused, 0, entry, "is not kept: " + refused};
    }
    return {Outcome::Kind::compiled, compiled.image.size()};
  } catch (const Error& error) {
    return {Outcome::Kind::failed, 0, entry, error.what(), error.log()};
  } catch (const std::exception& error) {
    return {Outcome::Kind::failed, 0, entry, error.what()};
  }
}

// Between processes of one program. No field holds a zero: they are texts for people.
std::string to_text(const Outcome& outcome) {
  return fmt::format("{}{}{}{}{}{}{}{}", static_cast<char>(outcome.kind), outcome.bytes, '\0', outcome.entry, '\0',
                     outcome.reason, '\0', outcome.log);
}

Outcome outcome_of(std::string_view text) {
  const std::vector<std::string_view> fields = split(text.substr(std::min<std::size_t>(1, text.size())), '\0');
  if (fields.size() != 4) return {Outcome::Kind::failed, 0, {}, "a worker said nothing"};
  return {static_cast<Outcome::Kind>(text.front()), number_in<std::uint64_t>(fields[0]).value_or(0),
          std::string(fields[1]), std::string(fields[2]), std::string(fields[3])};
}

class Warming {
 public:
  Warming(const WarmList& list, const BinaryStore& store, const WarmOptions& options)
      : list_(list), store_(store), options_(options) {
    progress_.total = list.items.size();
  }

  WarmProgress run() {
    if (options_.jobs < 2 || list_.items.size() < 2 || !by_workers()) alone();
    // Where workers were lost, and no others could be had.
    if (progress_.done() < progress_.total) progress_.given_up = true;
    return std::move(progress_);
  }

 private:
  void alone() {
    for (std::size_t i = 0; i < list_.items.size() && !progress_.given_up; ++i) {
      take(i, make(list_, list_.items[i], store_));
    }
  }

  bool by_workers() {
    WorkerOptions options;
    options.items = list_.items.size();
    options.workers = options_.jobs;
    options.work = [&](std::size_t i) { return to_text(make(list_, list_.items[i], store_)); };
    options.done = [&](std::size_t i, const std::string& said) {
      take(i, outcome_of(said));
      return !progress_.given_up;
    };
    options.lost = [&](std::size_t i, const std::string& how) {
      if (++lost_ >= kRefusalsInARow) progress_.given_up = true;
      take(i, {Outcome::Kind::failed, 0, {}, "the process that compiled it ended: " + how});
      return !progress_.given_up;
    };
    return run_workers(options);
  }

  void take(std::size_t i, const Outcome& outcome) {
    refusals_ = outcome.kind == Outcome::Kind::refused ? refusals_ + 1 : 0;
    if (refusals_ >= kRefusalsInARow) progress_.given_up = true;
    switch (outcome.kind) {
      case Outcome::Kind::present: ++progress_.present; break;
      case Outcome::Kind::compiled:
        ++progress_.compiled;
        progress_.bytes += outcome.bytes;
        break;
      case Outcome::Kind::failed:
      case Outcome::Kind::refused: {
        const WarmItem& item = list_.items[i];
        progress_.failures.push_back({outcome.entry, list_.targets[item.target].build->arch(),
                                      list_.plans[item.plan].what, excerpt(outcome.reason, 400), outcome.log});
      }
    }
    if (options_.progress) options_.progress(progress_);
  }

  const WarmList& list_;
  const BinaryStore& store_;
  const WarmOptions& options_;
  int refusals_ = 0;  ///< in a row
  int lost_ = 0;
  WarmProgress progress_;
};

}  // namespace

bool Shard::has(std::string_view key) const {
  return number_in<std::uint64_t>(key.substr(0, kHashDigits), 16).value_or(0) % count == index - 1;
}

Shard read_shard(std::string_view what, std::string_view text, Problems& problems) {
  const std::size_t slash = text.find('/');
  const auto index = number_in<std::uint64_t>(text.substr(0, slash));
  const auto count = slash == std::string_view::npos ? std::nullopt : number_in<std::uint64_t>(text.substr(slash + 1));
  if (index && count && *count >= 1 && *count <= kMostShards && *index >= 1 && *index <= *count) {
    return {*index, *count};
  }
  problems.add(fmt::format("{}: found {}, allowed: I/N, such as 1/4: I from 1 to N, N at most {}", what, quoted(text),
                           grouped(kMostShards)));
  return {};
}

void keep_shard(WarmList& list, const Shard& shard) {
  std::erase_if(list.items, [&](const WarmItem& item) { return !shard.has(item.key); });
}

void require_compilers(const WarmList& list, Problems& unknown, Problems& absent) {
  for (const WarmTarget& target : list.targets) {
    try {
      target.build->compiler();
    } catch (const Error& error) {
      (error.code() == ErrorCode::invalid_argument ? unknown : absent).add(error.what());
    }
  }
}

WarmProgress warm(const WarmList& list, const BinaryStore& store, const WarmOptions& options) {
  return Warming(list, store, options).run();
}

std::vector<MissingItem> missing_items(const WarmList& list, const BinaryStore& store) {
  std::vector<std::optional<std::string>> reasons(list.items.size());
  parallel_for(static_cast<std::int64_t>(list.items.size()), [&](std::int64_t at) {
    const auto i = static_cast<std::size_t>(at);
    const ReadResult read = store.read(list.source(list.items[i]).preimage);
    if (!read.entry) reasons[i] = read.misses.empty() ? "there is no cache" : read.misses.front().miss.reason;
  });
  std::vector<MissingItem> missing;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (reasons[i]) missing.push_back({i, *std::move(reasons[i])});
  }
  return missing;
}

}  // namespace ropejit::internal
