#include "service/binary_source.hpp"

#include <chrono>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "store/key_lock.hpp"

namespace ropejit::internal {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

BinarySource::BinarySource(const RotationPlan& plan, const Variant& variant, const Target& target,
                           const BinaryStore& store, Events& events)
    : target_(target), store_(store), events_(events), keyed_(plan, variant, target) {}

void BinarySource::tell_of_misses(const ReadResult& read) {
  for (const auto& [directory, miss] : read.misses) {
    missed_.push_back(fmt::format("{}: {}", directory, miss.reason));
    if (miss.kind == Miss::Kind::absent) continue;
    events_.count([](ServiceStats& stats) { ++stats.entries_refused; });
    const std::string line =
        fmt::format("the cache entry of {} in {} is not used: {}", entry(), directory, miss.reason);
    const bool of_file = miss.kind == Miss::Kind::damaged || miss.kind == Miss::Kind::newer;
    of_file ? events_.warn(line) : events_.warn_of(directory, line);
  }
  if (read.quarantined) events_.count([](ServiceStats& stats) { ++stats.entries_quarantined; });
}

std::optional<LoadedBinary> BinarySource::load_read(const ReadResult& read) {
  const auto start = Clock::now();
  try {
    const EntryMetadata& metadata = read.entry->metadata;
    LoadedBinary binary = loaded(read.entry->payload, metadata.registers, metadata.spill_bytes);
    binary.info.cache = read.read_only ? CacheRung::shared : CacheRung::disk;
    events_.count([&](ServiceStats& stats) {
      ++(read.read_only ? stats.shared_hits : stats.disk_hits);
      if (variant().buffered_steps) ++stats.buffered_hits;
      stats.bytes_read += read.entry->payload.size();
      stats.load_ms += ms_since(start);
    });
    if (events_.takes_notes()) events_.note(fmt::format("{}: loaded from {}", entry(), read.found_in));
    return binary;
  } catch (const Error& error) {
    refused_ = true;
    missed_.push_back(fmt::format("{}: {}", read.found_in, error.what()));
    events_.count([](ServiceStats& stats) { ++stats.entries_refused; });
    events_.warn(fmt::format("the cache entry of {} in {} is not used: {}", entry(), read.found_in, error.what()));
    return std::nullopt;
  }
}

std::optional<LoadedBinary> BinarySource::load_stored() {
  const auto start = Clock::now();
  const ReadResult read = store_.read(keyed_.preimage);
  tell_of_misses(read);
  if (!read.entry) return std::nullopt;
  std::optional<LoadedBinary> binary = load_read(read);
  if (binary) binary->info.load_us = ms_since(start) * 1e3;
  return binary;
}

ObtainedBinary BinarySource::obtain(std::chrono::milliseconds lock_bound) const {
  const auto start = Clock::now();
  const KeyLock lock = store_.lock(keyed_.preimage, lock_bound);
  // Whoever had the lock before may have written what is wanted. Where the driver refused what was there, it would
  // again.
  if (lock.outcome != KeyLock::Outcome::unavailable && !refused_) {
    const double waited = ms_since(start);
    events_.count([&](ServiceStats& stats) {
      if (!lock.held()) ++stats.waits_timed_out;
      stats.wait_ms += waited;
    });
    if (ReadResult read = store_.read(keyed_.preimage); read.entry) {
      events_.count([](ServiceStats& stats) { ++stats.waits; });
      if (events_.takes_notes()) {
        events_.note(fmt::format("{}: waited {:.0f} ms for another process", entry(), waited));
      }
      return read;
    }
  }
  if (lock.outcome == KeyLock::Outcome::timed_out) {
    events_.warn(fmt::format("{} is compiled here, too: {}", entry(), lock.reason));
  }
  CompiledBinary compiled = compile();
  keep(compiled);
  return compiled;
}

CompiledBinary BinarySource::compile() const {
  try {
    CompiledBinary compiled = target_.compiler().compile(keyed_.source);
    events_.count([&](ServiceStats& stats) {
      ++stats.compiles;
      stats.compile_ms += compiled.compile_ms;
    });
    if (events_.takes_notes()) {
      events_.note(fmt::format("{}: compiled by {} in {:.0f} ms", entry(), compiled.compiler, compiled.compile_ms));
    }
    return compiled;
  } catch (const Error&) {
    events_.count([](ServiceStats& stats) { ++stats.compiles_failed; });
    throw;
  }
}

LoadedBinary BinarySource::load(const ObtainedBinary& obtained) {
  if (const auto* compiled = std::get_if<CompiledBinary>(&obtained)) return load_compiled(*compiled);
  if (std::optional<LoadedBinary> binary = load_read(std::get<ReadResult>(obtained))) return *std::move(binary);
  return load_compiled(compile());
}

LoadedBinary BinarySource::load_compiled(const CompiledBinary& compiled) const {
  const auto start = Clock::now();
  LoadedBinary binary = loaded(compiled.image, compiled.registers, compiled.spill_bytes);
  binary.info.load_us = ms_since(start) * 1e3;
  binary.info.cache = CacheRung::miss;
  binary.info.compile_ms = compiled.compile_ms;
  return binary;
}

void BinarySource::keep(const CompiledBinary& compiled) const {
  if (refused_) return;
  if (const std::string problem = store_.write(keyed_.entry(compiled)); !problem.empty()) {
    events_.count([](ServiceStats& stats) { ++stats.writes_failed; });
    events_.warn_of(store_.directory(), fmt::format("{} is not kept: {}", entry(), problem));
  } else if (!store_.directory().empty()) {
    events_.count([&](ServiceStats& stats) {
      ++stats.entries_written;
      stats.bytes_written += compiled.image.size();
    });
  }
}

LoadedBinary BinarySource::loaded(std::string_view image, int registers, int spill_bytes) const {
  LoadedBinary binary;
  binary.variant = variant();
  binary.kernel = target_.load(image, keyed_.source);
  binary.info.variant = to_string(variant());
  binary.info.entry = entry();
  binary.info.registers = registers;
  binary.info.spill_bytes = spill_bytes;
  binary.info.missed = missed_;
  return binary;
}

}  // namespace ropejit::internal
