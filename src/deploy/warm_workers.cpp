#include "deploy/warm_workers.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <llvm/ADT/STLExtras.h>
#include "support/write_all.hpp"

namespace ropejit::internal {
namespace {

constexpr std::int64_t kNone = -1;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// In memory that all of them share.
class SharedCounter {
 public:
  SharedCounter() {
    void* const place = ::mmap(nullptr, sizeof *next_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place != MAP_FAILED) next_ = new (place) std::atomic<std::uint64_t>(0);
  }
  ~SharedCounter() {
    if (next_ != nullptr) ::munmap(next_, sizeof *next_);
  }
  SharedCounter(const SharedCounter&) = delete;
  SharedCounter& operator=(const SharedCounter&) = delete;

  explicit operator bool() const { return next_ != nullptr; }
  std::uint64_t take() { return (*next_)++; }
  void end_at(std::uint64_t count) { *next_ = count; }

 private:
  std::atomic<std::uint64_t>* next_ = nullptr;
};

/// Before each message: of which item, and how long it is; kBegun: it is begun.
struct Head {
  std::uint64_t item = 0;
  std::uint64_t bytes = 0;
};
constexpr std::uint64_t kBegun = ~std::uint64_t{0};

std::string_view bytes_of(const Head& head) { return {reinterpret_cast<const char*>(&head), sizeof head}; }

[[noreturn]] void be_worker(const WorkerOptions& options, SharedCounter& counter, int to, pid_t parent) {
  // Not to go on without whoever wants it; the parent may have ended before this was said.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  for (std::uint64_t item = counter.take(); item < options.items; item = counter.take()) {
    Head head{item, kBegun};
    if (write_all(to, bytes_of(head)) != 0) ::_exit(1);
    const std::string said = options.work(item);
    head.bytes = said.size();
    if (write_all(to, bytes_of(head)) != 0 || write_all(to, said) != 0) ::_exit(1);
  }
  ::_exit(0);
}

/// One worker, as this process sees it.
struct Worker {
  pid_t process = -1;
  int from = -1;
  std::int64_t item = kNone;  ///< that it is at
  std::string read;           ///< and not understood yet
};

std::string ending_of(pid_t process) {
  int status = 0;
  pid_t waited = -1;
  do {
    waited = ::waitpid(process, &status, 0);
  } while (waited < 0 && errno == EINTR);
  if (waited != process) return "an end that nobody saw";
  if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : fmt::format("status {}", WEXITSTATUS(status));
}

class Pool {
 public:
  explicit Pool(const WorkerOptions& options) : options_(options) {}
  ~Pool() {
    for (Worker& worker : workers_) {
      if (worker.from < 0) continue;
      ::kill(worker.process, SIGKILL);
      finish(worker);
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  bool run() {
    if (!counter_) return false;
    const std::size_t wanted = std::min<std::size_t>(options_.workers, options_.items);
    while (workers_.size() < wanted && start()) {
    }
    if (workers_.empty()) return false;
    for (;;) {
      std::vector<pollfd> files;
      for (const Worker& worker : workers_) files.push_back({worker.from, POLLIN, 0});
      // poll leaves files out that are negative.
      if (llvm::none_of(files, [](const pollfd& file) { return file.fd >= 0; })) return true;
      if (::poll(files.data(), files.size(), -1) < 0) continue;
      for (std::size_t i = 0; i < files.size(); ++i) {
        if (files[i].fd >= 0 && files[i].revents != 0) listen(i);
      }
    }
  }

 private:
  bool start() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    const pid_t parent = ::getpid();
    const pid_t process = ::fork();
    if (process == 0) {
      for (const Worker& other : workers_) {
        if (other.from >= 0) ::close(other.from);
      }
      ::close(ends[0]);
      be_worker(options_, counter_, ends[1], parent);
    }
    ::close(ends[1]);
    if (process < 0) {
      ::close(ends[0]);
      return false;
    }
    workers_.push_back({process, ends[0], kNone, {}});
    return true;
  }

  void listen(std::size_t place) {
    std::array<char, 65536> piece;
    const ssize_t got = ::read(workers_[place].from, piece.data(), piece.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got > 0) {
      workers_[place].read.append(piece.data(), static_cast<std::size_t>(got));
      understand(workers_[place]);
      return;
    }
    const std::int64_t item = workers_[place].item;
    const std::string how = finish(workers_[place]);
    if (item == kNone) return;
    if (!options_.lost(static_cast<std::size_t>(item), how.empty() ? "nothing said" : how))
      counter_.end_at(options_.items);
    start();  // Where that fails the others go on.
  }

  void understand(Worker& worker) {
    std::size_t at = 0;
    Head head;
    while (worker.read.size() - at >= sizeof head) {
      std::memcpy(&head, worker.read.data() + at, sizeof head);
      if (head.bytes == kBegun) {
        worker.item = static_cast<std::int64_t>(head.item);
        at += sizeof head;
        continue;
      }
      if (worker.read.size() - at - sizeof head < head.bytes) break;
      const std::string said = worker.read.substr(at + sizeof head, static_cast<std::size_t>(head.bytes));
      at += sizeof head + said.size();
      worker.item = kNone;
      if (!options_.done(static_cast<std::size_t>(head.item), said)) counter_.end_at(options_.items);
    }
    worker.read.erase(0, at);
  }

  /// How the process ended; empty: well.
  static std::string finish(Worker& worker) {
    ::close(worker.from);
    worker.from = -1;
    worker.item = kNone;
    return ending_of(worker.process);
  }

  const WorkerOptions& options_;
  SharedCounter counter_;
  std::vector<Worker> workers_;
};

}  // namespace

bool run_workers(const WorkerOptions& options) { return Pool(options).run(); }

}  // namespace ropejit::internal
