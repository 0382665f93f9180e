// RopeService makes kernels; RopeKernel launches them.
//
//     ropejit::RopeService service;
//     ropejit::RopeKernel rope = service.get(spec, ropejit::LaunchForm::in_place_ids());
//     ropejit::RopeArgs args;
//     args.q.data = q; args.k.data = k; args.tokens = tokens;
//     args.positions = ropejit::Positions::ids64(ids);
//     ropejit::LaunchStatus status = rope.launch(args, stream);
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "ropejit/error.hpp"
#include "ropejit/export.hpp"
#include "ropejit/form.hpp"
#include "ropejit/info.hpp"
#include "ropejit/options.hpp"
#include "ropejit/spec.hpp"
#include "ropejit/stats.hpp"
#include "ropejit/tensor.hpp"

namespace ropejit {

// Outside the inline namespace: src/ declares ropejit::internal, and two namespaces of that name are ambiguous.
namespace internal {
struct KernelState;
struct ServiceState;
}  // namespace internal

inline namespace v0 {

/// A prepared kernel: a small handle that shares ownership of all it needs, so it may outlive its service.
/// Copying is cheap. All members are thread-safe.
class ROPEJIT_EXPORT RopeKernel {
 public:
  RopeKernel();  ///< empty: launch returns not_prepared
  ~RopeKernel();
  RopeKernel(const RopeKernel&);
  RopeKernel(RopeKernel&&) noexcept;
  RopeKernel& operator=(const RopeKernel&);
  RopeKernel& operator=(RopeKernel&&) noexcept;

  /// Queues the rotation of q and k on `stream` (a CUstream or cudaStream_t of the current context; null: the
  /// default stream; ignored on the host target, which runs at once). Never compiles, allocates, locks or waits.
  /// Any context of the device may be current; but numbers of a length, and of a binary of the class, are in the memory
  /// of the context in which get or at_length was called: elsewhere such a launch is refused with not_prepared. May be
  /// captured into a CUDA graph. A null pointer, a wrong position kind, a negative size, or outputs that overlap (each
  /// other or, out of place, an input) are refused before anything is queued.
  [[nodiscard]] LaunchStatus launch(const RopeArgs& args, void* stream = nullptr) const noexcept;

  /// The entry that a launch of this size would run, were its tensors to keep the form's promise.
  const VariantInfo& variant_for(std::int64_t tokens) const;

  /// For scaling that depends on the length (dynamic, longrope), of a spec without max_length: the same kernel resolved
  /// for sequences of up to `length` tokens. Compiles nothing, but copies a few numbers to the device and waits for it:
  /// call it outside launches and captures. This handle is not changed, and a captured graph keeps the length it was
  /// captured with. The numbers, a few hundred bytes for each length, stay on the device as long as the kernel, and on
  /// a GPU for the rest of the process once it was launched. Other kernels return themselves. Throws Error. Before it,
  /// a kernel whose positions count from a start takes the length of each launch where it can (longrope always, dynamic
  /// up to max_position_embeddings; counted forms, whose length may be any up to RopeArgs::tokens, where that settles
  /// it); other launches return not_prepared.
  RopeKernel at_length(std::int64_t length) const;

  /// The kernel that serves now: another one once a tuner, or a compile in the background, has put a better in place.
  const KernelInfo& info() const;
  const RopeSpec& spec() const;    ///< the spec passed to get(); after at_length, with its length
  const LaunchForm& form() const;  ///< the form passed to get()
  /// False for an empty handle.
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  friend class RopeService;
  explicit RopeKernel(std::shared_ptr<const internal::KernelState> state);
  std::shared_ptr<const internal::KernelState> state_;
};

/// Makes kernels for one device and keeps them: in memory, then in a cache directory, then by compiling. Construction
/// loads no library and touches no device; the first get does. It is thread-safe, and a handle: copies share state.
/// Whatever its threads are doing at a fork, the child may go on with it and with its kernels; but a child whose parent
/// had opened a GPU is refused, as CUDA does not allow it.
class ROPEJIT_EXPORT RopeService {
 public:
  /// Throws Error for an option or a variable of the environment whose value is not allowed; but the device, NVRTC and
  /// the compiler are looked at by the first get.
  explicit RopeService(ServiceOptions options = {});
  ~RopeService();
  RopeService(const RopeService&);
  RopeService(RopeService&&) noexcept;
  RopeService& operator=(const RopeService&);
  RopeService& operator=(RopeService&&) noexcept;

  /// Validates the spec and prepares everything that launches of this form need. The second call with an equal
  /// plan returns the same kernel; however many threads ask, a binary is compiled once. Throws Error.
  RopeKernel get(const RopeSpec& spec, const LaunchForm& form) const;

  /// Lets one kernel go: true where the service had it. Handles to it stay as they are, and share it; its memory is
  /// given back with the last of them. A later get makes it anew. On a GPU the code and the numbers of a kernel that
  /// was launched stay loaded, as a captured graph may hold them: some 11 kB of device memory a binary, once, however
  /// often it is forgotten and asked for again. Throws Error for a spec or a form that is not allowed.
  bool forget(const RopeSpec& spec, const LaunchForm& form) const;
  /// Lets every kernel go that no handle holds; returns how many. ServiceOptions::most_kernels does it by itself.
  std::size_t forget_unused() const;

  /// With Tuning::background and swap_when_tuned = false: puts the better kernels in place that were found since, and
  /// returns how many. Launches take them from then on; a captured graph keeps what it was captured with.
  std::size_t commit_tuned() const;

  /// Tuning in the background rests from pause_tuning, which waits until the device has none of its work, to
  /// resume_tuning; calls may be nested. They are for times that must not be disturbed: captures into CUDA graphs, of
  /// which it sees by itself only those of streams that wait for the default one, and measurements.
  void pause_tuning() const;
  void resume_tuning() const;  ///< see pause_tuning

  /// Waits until nothing is left to tune in the background, or for so many seconds. True: nothing is left. A child of
  /// fork goes on as wait_for_compiles says.
  bool wait_for_tuning(double seconds) const;

  /// With OnMiss::background: waits until every kernel has its own binaries, or none can be had, or for so many
  /// seconds. True: nothing is left. Call it before a capture into a CUDA graph, which keeps the kernel that it was
  /// captured with. In a child of fork the child's own threads do what was left to those of its parent, from its first
  /// get or wait on; where the parent had opened a GPU, this throws Error{device_unavailable}, as get does.
  bool wait_for_compiles(double seconds) const;

  /// What was found, compiled, waited for and refused so far.
  ServiceStats stats() const;

  /// The cache directory that is written to; empty where none is (memory only, or frozen).
  const std::string& cache_dir() const;

 private:
  std::shared_ptr<internal::ServiceState> state_;
};

}  // namespace v0
}  // namespace ropejit
