// A thread that rounds another way, or takes numbers below the normal range for zero, as programs around a library do.
#pragma once

#include <cfenv>
#include <cstdint>
#include <string>

namespace ropejit::test {

/// Sets rounding and flushing of this thread, and puts back what was there.
class CallersArithmetic {
 public:
  CallersArithmetic(int rounding, bool flush) : rounding_(rounding), flush_(flush) {
    std::fegetenv(&before_);
    std::fesetround(rounding);
    if (flush) set_control(control() | kFlush);
  }
  ~CallersArithmetic() { std::fesetenv(&before_); }
  CallersArithmetic(const CallersArithmetic&) = delete;
  CallersArithmetic& operator=(const CallersArithmetic&) = delete;

  /// Whether the thread is as the constructor left it.
  bool is_as_set() const {
    return std::fegetround() == rounding_ && ((control() & kFlush) == kFlush) == flush_ && halves() == flush_;
  }

  std::string to_string() const {
    const char* const names[] = {"to nearest", "up", "down", "to zero"};
    std::string name = "?";
    for (int i = 0; i < 4; ++i) {
      if (kRoundings[i] == rounding_) name = names[i];
    }
    return "rounding " + name + (flush_ ? ", flush to zero" : "");
  }

  static constexpr int kRoundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

 private:
#if defined(__x86_64__)
  static constexpr std::uint64_t kFlush = 0x8040;  // FTZ and DAZ of MXCSR
  static std::uint64_t control() { return __builtin_ia32_stmxcsr(); }
  static void set_control(std::uint64_t value) { __builtin_ia32_ldmxcsr(static_cast<unsigned>(value)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kFlush = std::uint64_t{1} << 24;  // FZ of FPCR
  static std::uint64_t control() {
    std::uint64_t value = 0;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set_control(std::uint64_t value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#endif

  /// By what the processor does, rather than by what it was told: half of the least normal number is zero.
  static bool halves() {
    volatile float least = 1.17549435e-38F;
    volatile float half = least / 2;
    return half == 0.0F;
  }

  const int rounding_;
  const bool flush_;
  std::fenv_t before_{};
};

}  // namespace ropejit::test
