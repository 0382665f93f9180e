// From a plan and a variant to a loaded entry: the store, else the compiler. Nothing that goes wrong in the store
// fails a caller; it costs a compile and, where a person should know, a warning.
//
// Compiling may happen on any thread; loading belongs on the caller's, whose current context the code is brought into.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "codegen/variant.hpp"
#include "launch/prepared_kernel.hpp"
#include "ropejit/info.hpp"
#include "service/events.hpp"
#include "service/keyed_source.hpp"
#include "spec/plan.hpp"
#include "store/store.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

struct LoadedBinary {
  Variant variant;
  std::shared_ptr<const LoadedKernel> kernel;
  VariantInfo info;  ///< without min_tokens and why it was chosen
};

/// What obtain() brought: an entry that another process had compiled meanwhile, or a binary that was compiled here.
using ObtainedBinary = std::variant<ReadResult, CompiledBinary>;

/// One binary on its way: stored, or compiled and kept.
class BinarySource {
 public:
  /// All arguments but `plan` must outlive the object.
  BinarySource(const RotationPlan& plan, const Variant& variant, const Target& target, const BinaryStore& store,
               Events& events);

  const Variant& variant() const { return keyed_.variant; }
  const std::string& entry() const { return keyed_.source.entry; }

  /// The stored binary, loaded; nothing where there is none that this process can use. missed() says why.
  std::optional<LoadedBinary> load_stored();

  /// Compiles, or waits for the process that is compiling the same, for `lock_bound` at most. Keeps what it compiled.
  /// Thread-safe beside obtain of others. Throws Error{compile_failed}.
  ObtainedBinary obtain(std::chrono::milliseconds lock_bound) const;
  /// Compiles whatever the store holds, and keeps nothing. Throws Error{compile_failed}.
  CompiledBinary compile() const;
  /// Keeps what compile made.
  void keep(const CompiledBinary& compiled) const;

  /// Loads what obtain brought. Throws Error{load_failed}.
  LoadedBinary load(const ObtainedBinary& obtained);
  /// Loads what compile made. Throws Error{load_failed}.
  LoadedBinary load_compiled(const CompiledBinary& compiled) const;

  /// A line for each look that found nothing.
  const std::vector<std::string>& missed() const { return missed_; }
  void add_missed(std::string line) { missed_.push_back(std::move(line)); }

 private:
  void tell_of_misses(const ReadResult& read);
  std::optional<LoadedBinary> load_read(const ReadResult& read);
  LoadedBinary loaded(std::string_view image, int registers, int spill_bytes) const;

  const Target& target_;
  const BinaryStore& store_;
  Events& events_;
  KeyedSource keyed_;
  bool refused_ = false;  ///< the driver would not load the entry: it may be right for another, so it stays
  std::vector<std::string> missed_;
};

}  // namespace ropejit::internal
