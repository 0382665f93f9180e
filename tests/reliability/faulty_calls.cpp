#include "reliability/faulty_calls.hpp"

#include <atomic>
#include <cerrno>

#include "store/file/ops.hpp"
#include "store/intercepted_file_ops.hpp"

namespace ropejit::test {

using internal::FileOps;

const FileOps& real_file_ops() asm("__real__ZN7ropejit8internal15system_file_opsEv");
const FileOps& file_ops_instead() asm("__wrap__ZN7ropejit8internal15system_file_opsEv");

namespace {

// Threads of one get read and write entries side by side. Without a lock, which a child of fork might find taken.
class FaultyCalls final : public InterceptedFileOps {
 public:
  FaultyCalls() : InterceptedFileOps(real_file_ops()) {}

  void arm(const Fault& fault) {
    fault_ = fault;
    was_armed_ = true;
    calls_ = 0;
    failed_ = "";
  }
  std::string failed() const { return failed_.load(); }

  // Until then the process is as any other.
  int fsync(int file) const override { return was_armed_ ? InterceptedFileOps::fsync(file) : real_.fsync(file); }

 private:
  bool fails(const char* name) const override {
    const int call = calls_++;
    if (fault_.at < 0 || call < fault_.at || (call > fault_.at && !fault_.keeps_failing)) return false;
    if (call == fault_.at) failed_ = name;
    errno = fault_.error;
    return true;
  }

  Fault fault_;
  bool was_armed_ = false;
  mutable std::atomic<int> calls_ = 0;
  mutable std::atomic<const char*> failed_ = "";
};

FaultyCalls& faulty_calls() {
  static auto* const calls = new FaultyCalls;  // outlives services that are leaked
  return *calls;
}

}  // namespace

const FileOps& file_ops_instead() { return faulty_calls(); }

void arm(const Fault& fault) { faulty_calls().arm(fault); }
std::string failed_call() { return faulty_calls().failed(); }

}  // namespace ropejit::test
