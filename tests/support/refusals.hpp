// Tables of launches that are refused, or taken, before anything is read: addresses are made up.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "launch/launch_arguments.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"

namespace ropejit::test {

// Addresses that nothing reads: checks come before any access.
inline void* address(std::uintptr_t value) { return reinterpret_cast<void*>(value); }

struct RefusalRow {
  std::string what;
  std::function<void(RopeArgs&)> change;  // of good arguments
  std::string begin;                      // of the reason; "": it is taken
};

/// Good arguments are taken, and each row is refused for its reason, in one line.
inline void check_rows(const RopeSpec& spec, const LaunchForm& form, const RopeArgs& good,
                       const std::vector<RefusalRow>& rows) {
  const internal::KernelClass kernel_class = internal::lower(spec, form).kernel_class;
  internal::LaunchArguments unchanged;
  const LaunchStatus before = internal::check_arguments(kernel_class, good, unchanged);
  INFO(before.message());
  REQUIRE(before);
  for (const RefusalRow& row : rows) {
    RopeArgs args = good;
    row.change(args);
    internal::LaunchArguments out;
    const LaunchStatus status = internal::check_arguments(kernel_class, args, out);
    INFO(row.what << ": " << status.message());
    if (row.begin.empty()) {
      CHECK(status);
      continue;
    }
    CHECK(status.code == ErrorCode::invalid_argument);
    if (status.reason == nullptr) continue;
    const std::string reason = status.reason;
    CHECK(reason.rfind(row.begin, 0) == 0);
    CHECK(reason.find('\n') == std::string::npos);
  }
}

/// q, k and v of three tokens, 16 lanes a head.
inline RopeSpec three_operands() {
  RopeSpec spec;
  spec.rotary_dim = 8;
  spec.q = {4, 16, 0};
  spec.k = Operand{2, 16, 0};
  spec.v = Operand{2, 16, 0};
  return spec;
}

/// For three_operands, in place.
inline RopeArgs good_args() {
  RopeArgs args;
  args.tokens = 3;
  args.q.data = address(0x10000);
  args.k.data = address(0x20000);
  args.v.data = address(0x30000);
  args.v_out.data = address(0x40000);
  args.positions = Positions::ids64(static_cast<const std::int64_t*>(address(0x50000)));
  return args;
}

/// A layer that does not rotate: q stays as it is, and k and v go to rows of a cache. Of three_operands and good_args.
struct StillLayer {
  RopeSpec spec = three_operands();
  LaunchForm form = LaunchForm::in_place_ids();
  RopeArgs args = good_args();

  StillLayer() {
    spec.q.rotates = spec.k->rotates = false;
    form.k_rows = form.v_rows = CacheRows::rows64;
    args.k_out.data = address(0x60000);
    args.k_rows = args.v_rows = address(0x80000);
    args.k_cache_rows = args.v_cache_rows = 9;
  }
};

}  // namespace ropejit::test
