#include "deploy/warm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "support/parallel.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kHashDigits = 16;
constexpr std::uint64_t kMostShards = 65'536;
constexpr int kRefusalsInARow = 10;

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

class Warming {
 public:
  Warming(const WarmList& list, const BinaryStore& store, const WarmOptions& options)
      : list_(list), store_(store), options_(options) {
    progress_.total = list.items.size();
  }

  WarmProgress run() {
    {
      std::vector<std::jthread> threads;
      const std::size_t wanted = std::min<std::size_t>(std::max(options_.jobs, 1U), list_.items.size());
      try {
        while (threads.size() + 1 < wanted) threads.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        // Fewer, then.
      }
      work();
    }
    return std::move(progress_);
  }

 private:
  void work() {
    for (std::size_t i = next_++; i < list_.items.size() && !given_up_; i = next_++) make(list_.items[i]);
  }

  void make(const WarmItem& item) {
    std::string entry;
    try {
      const KeyedSource source = list_.source(item);
      entry = source.source.entry;
      if (store_.read(source.preimage).entry) return tell([](WarmProgress& progress) { ++progress.present; });
      CompiledBinary compiled = list_.targets[item.target].build->compiler().compile(source.source);
      compiled.compile_ms = 0;
      if (const std::string refused = store_.write(source.entry(compiled)); !refused.empty()) {
        if (++refusals_ >= kRefusalsInARow) given_up_ = true;
        return fail(item, entry, "is not kept: " + refused, {});
      }
      refusals_ = 0;
      tell([&](WarmProgress& progress) {
        ++progress.compiled;
        progress.bytes += compiled.image.size();
      });
    } catch (const Error& error) {
      fail(item, entry, error.what(), error.log());
    } catch (const std::exception& error) {
      fail(item, entry, error.what(), {});
    }
  }

  void fail(const WarmItem& item, const std::string& entry, const std::string& reason, const std::string& log) {
    const std::string& arch = list_.targets[item.target].build->arch();
    WarmFailure failure{entry, arch, list_.plans[item.plan].what, excerpt(reason, 400), log};
    tell([&](WarmProgress& progress) {
      progress.failures.push_back(std::move(failure));
      progress.given_up = given_up_;
    });
  }

  template <class Change>
  void tell(const Change& change) {
    const std::lock_guard lock(mutex_);
    change(progress_);
    if (options_.progress) options_.progress(progress_);
  }

  const WarmList& list_;
  const BinaryStore& store_;
  const WarmOptions& options_;
  std::atomic<std::size_t> next_{0};
  std::atomic<int> refusals_{0};
  std::atomic<bool> given_up_{false};
  std::mutex mutex_;
  WarmProgress progress_;
};

}  // namespace

bool Shard::has(std::string_view key) const {
  std::uint64_t value = 0;
  const std::string_view digits = key.substr(0, kHashDigits);
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value % count == index - 1;
}

Shard read_shard(std::string_view what, std::string_view text, Problems& problems) {
  const std::size_t slash = text.find('/');
  const auto index = whole_number(text.substr(0, slash));
  const auto count = slash == std::string_view::npos ? std::nullopt : whole_number(text.substr(slash + 1));
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
