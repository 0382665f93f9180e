#include "bench/measure.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "bench/append_floors.hpp"
#include "codegen/generate.hpp"
#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/parallel.hpp"
#include "tune/statistics.hpp"

namespace ropejit::bench {

using internal::fastest;
using internal::PreparedKernel;
using internal::repetitions;
using internal::RotationPlan;
using internal::summarize;
using internal::Summary;
using internal::Target;
using internal::time_in_turns;
using internal::Variant;

namespace {

// Tried a few times each; so many of the fastest are then timed in earnest.
constexpr int kTrialTurns = 3;
constexpr std::size_t kFinalCopies = 4;  // of each kind
constexpr std::size_t kFinalVariants = 6;
constexpr int kLeastTurns = 9;
constexpr int kMostTurns = 41;
constexpr CopyKernel kFlush{16, 4, 256};

void launch_or_throw(const PreparedKernel& kernel, const RopeArgs& args, void* stream) {
  const LaunchStatus status = internal::launch_prepared(kernel, args, stream);
  if (!status) throw Error(status.code, "launch", status.message());
}

std::vector<internal::CompiledBinary> compile_all(const Target& target,
                                                  const std::vector<internal::KernelSource>& sources) {
  std::vector<internal::CompiledBinary> binaries(sources.size());
  const internal::Compiler& compiler = target.compiler();
  internal::parallel_for(static_cast<std::int64_t>(sources.size()), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    binaries[at] = compiler.compile(sources[at]);
  });
  return binaries;
}

bool is_host(const Target& target) { return target.arch().starts_with("host"); }

}  // namespace

/// A copy or a variant on a cell's tensors, queued and ready to be timed.
struct Measurer::Contender {
  enum class Kind { variant, floor, linear };  ///< linear: moves as many bytes as the floor, but lying together
  Kind kind = Kind::variant;
  std::string name;
  const LoadedVariant* variant = nullptr;  ///< null: a copy
  bool flush = false;
  std::unique_ptr<internal::Replay> replay;
};

Measurer::Measurer(const Target& target, std::vector<Cell> cells, MeasureOptions options)
    : target_(target),
      cells_(std::move(cells)),
      options_(std::move(options)),
      sizes_(CacheSizes::of(target)),
      few_(is_host(target)) {
  // Once as large as it gets: results of one run are of one allocation.
  std::size_t largest = 0;
  for (const Cell& cell : cells_) largest = std::max(largest, SetLayout::of(cell, options_.l2, sizes_).bytes());
  memory_ = internal::memory_to_time_on(target_, largest);
}

Measurer::~Measurer() = default;

std::vector<LoadedVariant> Measurer::compile(const RotationPlan& plan, const std::vector<Variant>& variants) const {
  std::vector<internal::KernelSource> sources;
  for (const Variant& variant : variants) sources.push_back(internal::generate(plan, variant));
  const std::vector<internal::CompiledBinary> binaries = compile_all(target_, sources);
  std::vector<LoadedVariant> loaded;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    loaded.push_back({variants[i],
                      internal::kernel_of_one(plan, variants[i], target_.load(binaries[i].image, sources[i])),
                      binaries[i].registers, binaries[i].spill_bytes});
  }
  return loaded;
}

void Measurer::prepare(const Case& what) {
  if (case_ == what.name()) return;
  case_.clear();
  variants_.clear();
  plan_ = internal::lower(what.spec(), what.form());
  std::vector<std::int64_t> tokens;
  for (const Cell& cell : cells_) {
    if (cell.what == what) tokens.push_back(cell.tokens);
  }
  variants_ = compile(plan_, selected(options_.selection, plan_, target_.multiprocessors(), tokens));
  case_ = what.name();
}

void Measurer::load(std::vector<internal::KernelSource> sources) {
  std::erase_if(sources, [&](const internal::KernelSource& source) { return copy_kernels_.count(source.entry) != 0; });
  const std::vector<internal::CompiledBinary> binaries = compile_all(target_, sources);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    copy_kernels_[sources[i].entry] = target_.load(binaries[i].image, sources[i]);
  }
}

std::vector<Measurer::Contender> Measurer::rotation_copies(const Cell& cell, const Tensors& tensors,
                                                           const SetLayout& layout) {
  const auto element = static_cast<std::uint32_t>(size_of(cell.what.dtype));
  const auto row = static_cast<std::uint32_t>(cell.what.shape.head_dim) * element;
  const auto moved = static_cast<std::uint32_t>(cell.what.moved_lanes()) * element;
  std::vector<CopyKernel> copies = copy_kernels(row, moved, few_);
  std::erase_if(copies, [&](const CopyKernel& copy) {
    return static_cast<std::uint64_t>(cell.bytes()) / 2 / copy.width >= (1ULL << 31);
  });
  std::vector<internal::KernelSource> sources;
  for (const CopyKernel& copy : copies) sources.push_back(copy.source());
  load(sources);

  using Kind = Contender::Kind;
  std::vector<Contender> all;
  const auto add = [&](Kind kind, std::string name, std::function<void(void*, int)> launch) {
    all.push_back({kind, std::move(name), nullptr, layout.flush, target_.capture(std::move(launch), layout.launches)});
  };
  const bool by_rows = std::any_of(copies.begin(), copies.end(), [](const auto& copy) { return copy.row_bytes != 0; });
  const auto bytes = static_cast<std::uint64_t>(cell.bytes()) / 2;
  for (std::size_t n = 0; n < copies.size(); ++n) {
    const internal::LoadedKernel& kernel = *copy_kernels_.at(sources[n].entry);
    add(by_rows && copies[n].row_bytes == 0 ? Kind::linear : Kind::floor, copies[n].name(),
        [&tensors, &kernel, copy = copies[n], bytes](void* stream, int i) {
          launch_copy(copy, kernel, tensors.copy_to(i), tensors.copy_from(i), bytes, stream);
        });
  }
  // In place the driver's copy needs another place to write to: the next set, where there is one.
  const bool in_place = cell.what.placement == Placement::in_place;
  if (!in_place || layout.sets > 1) {
    add(by_rows ? Kind::linear : Kind::floor, "memcpy", [this, &tensors, in_place, bytes](void* stream, int i) {
      target_.copy(in_place ? tensors.copy_to(i + 1) : tensors.copy_to(i), tensors.copy_from(i), bytes, stream);
    });
  }
  return all;
}

std::vector<Measurer::Contender> Measurer::append_copies(const Cell& cell, const Tensors& tensors,
                                                         const SetLayout& layout) {
  const std::vector<AppendCopy> copies = bench::append_copies(cell.what, few_);
  std::vector<internal::KernelSource> sources;
  for (const AppendCopy& copy : copies) sources.push_back(copy.source(cell.what));
  load(sources);
  std::vector<Contender> all;
  for (std::size_t n = 0; n < copies.size(); ++n) {
    const internal::LoadedKernel& kernel = *copy_kernels_.at(sources[n].entry);
    all.push_back(
        {Contender::Kind::floor, copies[n].name(), nullptr, layout.flush,
         target_.capture([&tensors, &kernel, &what = cell.what, copy = copies[n]](
                             void* stream, int i) { launch_append(copy, kernel, what, tensors.args(i), stream); },
                         layout.launches)});
  }
  return all;
}

std::vector<Measurer::Contender> Measurer::contenders(const Cell& cell, const Tensors& tensors,
                                                      const SetLayout& layout) {
  if (layout.flush && flush_ == nullptr) {
    load({kFlush.source()});
    flushed_ = target_.allocate(sizes_.beyond);
    flush_ = target_.capture(
        [this](void* stream, int) {
          launch_copy(kFlush, *copy_kernels_.at(kFlush.source().entry), flushed_.data(), flushed_.data(), sizes_.beyond,
                      stream);
        },
        1);
  }
  std::vector<Contender> all =
      cell.what.append ? append_copies(cell, tensors, layout) : rotation_copies(cell, tensors, layout);
  const Variant untuned = default_for(plan_, target_.multiprocessors(), cell.tokens);
  for (const LoadedVariant& variant : variants_) {
    // The defaults of the case's other sizes were compiled along.
    if (options_.selection.kind == Selection::Kind::untuned && variant.variant != untuned) continue;
    auto launch = [&tensors, &variant](void* stream, int i) {
      launch_or_throw(variant.kernel, tensors.args(i), stream);
    };
    all.push_back({Contender::Kind::variant, internal::to_string(variant.variant), &variant, layout.flush,
                   target_.capture(std::move(launch), layout.launches)});
  }
  return all;
}

std::vector<std::vector<double>> Measurer::in_turns(const std::vector<Contender>& contenders, int turns) const {
  std::vector<std::function<double()>> work;
  for (const Contender& contender : contenders) {
    work.push_back([this, &contender] {
      if (contender.flush) flush_->us();
      return contender.replay->us();
    });
  }
  return time_in_turns(work, turns);
}

std::vector<Record> Measurer::measure(const Cell& cell) {
  prepare(cell.what);
  const SetLayout layout = SetLayout::of(cell, options_.l2, sizes_);
  const Tensors tensors(target_, memory_, cell, layout);
  const Variant untuned = default_for(plan_, target_.multiprocessors(), cell.tokens);

  std::vector<Contender> all = contenders(cell, tensors, layout);
  const std::vector<std::vector<double>> trial = in_turns(all, kTrialTurns);
  if (options_.tried) {
    std::vector<std::pair<std::string, double>> us;
    for (const std::size_t i : fastest(trial, trial.size())) us.emplace_back(all[i].name, summarize(trial[i]).median);
    options_.tried(cell, us);
  }
  std::vector<Contender> finalists;
  std::map<Contender::Kind, std::size_t> taken;
  for (const std::size_t i : fastest(trial, trial.size())) {
    const bool copy = all[i].kind != Contender::Kind::variant;
    const bool among_fastest = taken[all[i].kind]++ < (copy ? kFinalCopies : kFinalVariants);
    const bool asked_for =
        !copy && (options_.selection.kind == Selection::Kind::listed || all[i].variant->variant == untuned);
    if (among_fastest || asked_for) finalists.push_back(std::move(all[i]));
  }
  all.clear();

  double turn_us = 0;
  for (const std::vector<double>& one : in_turns(finalists, 1)) turn_us += one.front() * layout.launches;
  const int turns = few_ ? 3 : repetitions(turn_us, options_.seconds, kLeastTurns, kMostTurns);
  const std::vector<std::vector<double>> samples = in_turns(finalists, turns);

  const std::vector<std::size_t> ranking = fastest(samples, samples.size());
  const auto first_of = [&](Contender::Kind kind) {
    return std::find_if(ranking.begin(), ranking.end(), [&](std::size_t i) { return finalists[i].kind == kind; });
  };
  const std::size_t copy = *first_of(Contender::Kind::floor);
  const auto other = first_of(Contender::Kind::linear);
  const std::size_t linear = other == ranking.end() ? copy : *other;
  const Summary floor = summarize(samples[copy]);
  std::vector<Record> records;
  for (const std::size_t i : ranking) {
    const LoadedVariant* variant = finalists[i].variant;
    if (variant == nullptr) continue;
    const Summary summary = summarize(samples[i]);
    Record record;
    record.cell = cell.what.name();
    record.tokens = cell.tokens;
    record.l2 = layout.cold ? "cold" : "hot";
    record.selection = options_.selection.text;
    record.variant = finalists[i].name;
    record.is_default = variant->variant == untuned;
    record.us = summary.median;
    record.lower_us = summary.lower;
    record.upper_us = summary.upper;
    record.spread_us = summary.spread;
    record.samples = turns;
    record.launches = layout.launches;
    record.floor_us = floor.median;
    record.floor_spread_us = floor.spread;
    record.floor = finalists[copy].name;
    record.linear_us = summarize(samples[linear]).median;
    record.linear = finalists[linear].name;
    record.ratio = summary.median / floor.median;
    record.bytes = cell.bytes();
    record.registers = variant->registers;
    record.spill_bytes = variant->spill_bytes;
    records.push_back(std::move(record));
  }
  for (Record& record : records) record.records = static_cast<std::int64_t>(records.size());
  return records;
}

void Measurer::run_once(const Cell& cell, const Variant& variant, int launches) {
  const RotationPlan plan = internal::lower(cell.what.spec(), cell.what.form());
  const std::vector<LoadedVariant> loaded = compile(plan, {variant});
  const Tensors tensors(target_, memory_, cell, SetLayout::of(cell, options_.l2, sizes_));
  for (int i = 0; i < launches; ++i) launch_or_throw(loaded.front().kernel, tensors.args(i), nullptr);
  target_.synchronize();
}

}  // namespace ropejit::bench
