#include "support/dynamic_library.hpp"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "support/made_once.hpp"

namespace ropejit::internal {
namespace {

using Clock = std::chrono::steady_clock;

// A thread that forks from a constructor of a library holds the dynamic linker's lock, which whoever is loading waits
// for: without a bound both would wait for ever.
constexpr std::chrono::seconds kLongestWait{1};
constexpr std::chrono::microseconds kPause{100};

std::mutex& mutex() {
  static constinit MadeOnce<std::unique_ptr<std::mutex>> made;
  return *made.get([] { return std::make_unique<std::mutex>(); });
}

thread_local bool has_mutex = false;

void before_fork() {
  const auto deadline = Clock::now() + kLongestWait;
  while (!(has_mutex = mutex().try_lock()) && Clock::now() < deadline) std::this_thread::sleep_for(kPause);
}

void in_parent() {
  if (has_mutex) mutex().unlock();
}

void in_child() {
  if (has_mutex) {
    mutex().unlock();
  } else {
    std::construct_at(&mutex());  // its holder is not here
  }
}

// Handlers of a library that is unloaded are dropped with it: pthread_atfork is linked into each, and names it to libc.
void watch_forks() {
  static constinit std::atomic<bool> watched{false};
  if (!watched.exchange(true)) ::pthread_atfork(before_fork, in_parent, in_child);
}

}  // namespace

Loading::Loading() {
  watch_forks();
  mutex().lock();
}

Loading::~Loading() { mutex().unlock(); }

DynamicLibrary::~DynamicLibrary() {
  if (handle_ == nullptr) return;
  const Loading loading;
  dlclose(handle_);
}

DynamicLibrary::DynamicLibrary(DynamicLibrary&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

DynamicLibrary& DynamicLibrary::operator=(DynamicLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

DynamicLibrary DynamicLibrary::open(const std::string& name, std::string& problem) {
  // Stays mapped after the last close: NVRTC leaks 70 KB each time it is unloaded.
  const Loading loading;
  void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* text = dlerror();
    problem = text != nullptr ? text : "unknown error";
  }
  return DynamicLibrary(handle);
}

void* DynamicLibrary::symbol(const char* name) const { return handle_ != nullptr ? dlsym(handle_, name) : nullptr; }

std::string DynamicLibrary::path() const {
  link_map* map = nullptr;
  if (handle_ == nullptr || dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return {};
  return map->l_name;
}

bool lacks_descriptors(const std::string& problem) {
  for (const int error : {EMFILE, ENFILE}) {
    if (problem.find(std::generic_category().message(error)) != std::string::npos) return true;
  }
  return false;
}

}  // namespace ropejit::internal
