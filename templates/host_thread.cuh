// The seam between generated code on the host target and the library that runs it: what one simulated thread knows
// and the services it may call. Shared by both sides; no includes.
#pragma once

namespace ropejit {

struct HostIndex {
  unsigned x, y, z;
};

struct HostThread;

struct HostServices {
  void (*block_barrier)(HostThread* self);
  void (*warp_barrier)(HostThread* self);
  // The value that lane `lane` of this thread's warp passed in the same call; undefined where that lane is not there.
  unsigned long long (*shuffle)(HostThread* self, unsigned long long value, unsigned lane);
  // An access that a GPU would fault on; the launch fails once it has run.
  void (*misaligned_access)(HostThread* self);
};

struct HostThread {
  HostIndex thread;
  HostIndex block;
  HostIndex block_dim;
  HostIndex grid_dim;
  const HostServices* services;
};

}  // namespace ropejit
