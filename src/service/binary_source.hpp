// From a plan and a variant to a loaded entry: the store, else the compiler. Nothing that goes wrong in the store
// fails a caller; it costs a compile and, where a person should know, a warning.
//
// Compiling may happen on any thread; loading belongs on the caller's, whose current context the code is brought into.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "codegen/kernel_source.hpp"
#include "codegen/variant.hpp"
#include "ropejit/service.hpp"
#include "spec/plan.hpp"
#include "store/store.hpp"
#include "target/target.hpp"

namespace ropejit::internal {

/// The text whose hash names a binary: complete by construction, as it holds hashes of the generated text and of the
/// templates beside the compiler's options.
std::string key_preimage(const RotationPlan& plan, const Variant& variant, const std::string& generated_text,
                         const Target& target);

struct LoadedBinary {
  std::shared_ptr<const LoadedKernel> kernel;
  VariantInfo info;  ///< min_tokens not filled
};

/// One binary on its way: stored, or compiled and kept.
class BinarySource {
 public:
  /// All but plan must outlive the object. `warn` may be empty.
  BinarySource(const RotationPlan& plan, const Variant& variant, const Target& target, const BinaryStore& store,
               const std::function<void(std::string_view)>& warn);

  /// The stored binary, loaded; nothing where there is none that this process can use.
  std::optional<LoadedBinary> load_stored();
  /// Throws Error{compile_failed}.
  CompiledBinary compile() const;
  /// Keeps what compile made.
  void keep(const CompiledBinary& compiled) const;
  /// Loads what compile made and keeps it. Throws Error{load_failed}.
  LoadedBinary load_compiled(const CompiledBinary& compiled) const;

 private:
  void warn(const std::string& line) const;
  LoadedBinary loaded(std::string_view image, int registers, int spill_bytes) const;

  Variant variant_;
  const Target& target_;
  const BinaryStore& store_;
  const std::function<void(std::string_view)>& warn_;
  KernelSource source_;
  std::string preimage_;
  bool refused_ = false;  ///< the driver would not load the entry: it may be right for another, so it stays
};

}  // namespace ropejit::internal
