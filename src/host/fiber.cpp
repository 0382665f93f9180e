#include "host/fiber.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <new>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ROPEJIT_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define ROPEJIT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ROPEJIT_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define ROPEJIT_TSAN 1
#endif
#ifdef ROPEJIT_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef ROPEJIT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace ropejit::internal {
namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr std::size_t kGuardBytes = 64 * 1024;  // a multiple of every page size in use

/// An mmap'd stack whose lowest pages fault, so that an overflow is seen and not silent.
class Stack {
 public:
  Stack() {
    void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<char*>(memory);
    if (mprotect(memory_, kGuardBytes, PROT_NONE) != 0) {
      munmap(memory_, kGuardBytes + kStackBytes);
      throw std::bad_alloc();
    }
  }
  ~Stack() { munmap(memory_, kGuardBytes + kStackBytes); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  char* base() const { return memory_ + kGuardBytes; }

 private:
  char* memory_ = nullptr;
};

}  // namespace

struct Fiber::Context {
  Stack stack;
  ucontext_t own{};
  ucontext_t caller{};
#ifdef ROPEJIT_ASAN
  const void* caller_stack = nullptr;
  std::size_t caller_stack_bytes = 0;
  void* own_fake_stack = nullptr;
#endif
#ifdef ROPEJIT_TSAN
  void* own_tsan = __tsan_create_fiber(0);
  void* caller_tsan = nullptr;
  ~Context() { __tsan_destroy_fiber(own_tsan); }
#endif
};

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)), context_(std::make_unique<Context>()) {
  getcontext(&context_->own);
  context_->own.uc_stack.ss_sp = context_->stack.base();
  context_->own.uc_stack.ss_size = kStackBytes;
  context_->own.uc_link = nullptr;
  const auto self = reinterpret_cast<std::uintptr_t>(this);  // makecontext passes ints
  makecontext(&context_->own, reinterpret_cast<void (*)()>(&Fiber::enter), 2,
              static_cast<unsigned>(static_cast<std::uint64_t>(self) >> 32), static_cast<unsigned>(self));
}

Fiber::~Fiber() = default;

void Fiber::enter(unsigned high, unsigned low) {
  auto* self = reinterpret_cast<Fiber*>(static_cast<std::uintptr_t>((static_cast<std::uint64_t>(high) << 32) | low));
#ifdef ROPEJIT_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &self->context_->caller_stack, &self->context_->caller_stack_bytes);
#endif
  self->body_();
  self->finished_ = true;
  self->suspend();  // never comes back
}

void Fiber::resume() {
  Context& context = *context_;
#ifdef ROPEJIT_TSAN
  context.caller_tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(context.own_tsan, 0);
#endif
#ifdef ROPEJIT_ASAN
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, context.stack.base(), kStackBytes);
#endif
  swapcontext(&context.caller, &context.own);
#ifdef ROPEJIT_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

void Fiber::suspend() {
  Context& context = *context_;
#ifdef ROPEJIT_TSAN
  __tsan_switch_to_fiber(context.caller_tsan, 0);
#endif
#ifdef ROPEJIT_ASAN
  __sanitizer_start_switch_fiber(finished_ ? nullptr : &context.own_fake_stack, context.caller_stack,
                                 context.caller_stack_bytes);
#endif
  swapcontext(&context.own, &context.caller);
#ifdef ROPEJIT_ASAN
  __sanitizer_finish_switch_fiber(context.own_fake_stack, &context.caller_stack, &context.caller_stack_bytes);
#endif
}

}  // namespace ropejit::internal
