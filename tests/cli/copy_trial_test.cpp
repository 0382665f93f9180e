// The copy that a launch is held against: how many bytes, on which stream, and what becomes of it without memory.
#include "cli/copy_trial.hpp"

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "host/host_target.hpp"
#include "ropejit/error.hpp"
#include "support/catch.hpp"

namespace {

using namespace ropejit;
using namespace ropejit::internal;

/// A host of so much memory, which writes down what is copied.
class ScarceTarget : public Target {
 public:
  ScarceTarget(std::size_t free_bytes, std::size_t allocates) : free_bytes_(free_bytes), allocates_(allocates) {}

  const std::string& name() const override { return real_->name(); }
  const std::string& arch() const override { return real_->arch(); }
  std::uint32_t multiprocessors() const override { return 1; }
  MemoryTraits memory() const override { return {}; }
  const std::string& recipe() const override { return real_->recipe(); }
  const Compiler& compiler() const override { return real_->compiler(); }
  std::shared_ptr<const LoadedKernel> load(std::string_view image, const KernelSource& source) const override {
    return real_->load(image, source);
  }
  DeviceConstant constant(const void* from, std::size_t bytes) const override { return real_->constant(from, bytes); }
  void make_current() const override {}
  DeviceBuffer allocate(std::size_t bytes) const override {
    if (allocated_ + bytes > allocates_) throw Error(ErrorCode::device_unavailable, "device", "out of memory");
    allocated_ += bytes;
    return real_->allocate(bytes);
  }
  void upload(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  void synchronize() const override {}
  std::size_t free_bytes() const override { return free_bytes_; }
  void upload_aside(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  void download_aside(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  bool is_capturing() const noexcept override { return false; }
  void copy(void* to, const void* from, std::size_t bytes, void* stream) const override {
    std::memcpy(to, from, bytes);
    all_ones = all_ones &&
               std::vector<unsigned char>(bytes, 1) ==
                   std::vector<unsigned char>(static_cast<unsigned char*>(to), static_cast<unsigned char*>(to) + bytes);
    copies.emplace_back(bytes, stream);
  }
  double time_us(const std::function<void()>& launch, int repeats) const override {
    for (int i = 0; i < repeats; ++i) launch();
    return 7;
  }
  std::unique_ptr<Replay> capture(std::function<void(void*, int)> launch, int launches) const override {
    return real_->capture(std::move(launch), launches);
  }
  std::unique_ptr<Replay> record(std::function<void(Recorder&, int)> fill, int launches) const override {
    return real_->record(std::move(fill), launches);
  }

  mutable std::vector<std::pair<std::size_t, void*>> copies;
  mutable bool all_ones = true;

 private:
  std::shared_ptr<const Target> real_ = host_target(std::nullopt);
  std::size_t free_bytes_;
  std::size_t allocates_;
  mutable std::size_t allocated_ = 0;
};

constexpr std::size_t kPlenty = std::size_t{1} << 30;

}  // namespace

TEST_CASE(
    "A copy reads and writes half of the bytes each, as often as launches, on the stream of a launch without one") {
  // One byte more than what is uploaded at once, and a few.
  for (const std::size_t half :
       {std::size_t{1}, std::size_t{28672}, (std::size_t{1} << 20) + 1, std::size_t{3} << 20}) {
    INFO(half);
    const ScarceTarget target(kPlenty, kPlenty);
    CHECK(time_copy(target, 2 * static_cast<double>(half), 5) == 7.0);
    CHECK(target.copies == std::vector<std::pair<std::size_t, void*>>(5, {half, nullptr}));
    CHECK(target.all_ones);
  }
}

TEST_CASE("Where memory does not allow a copy there is no time of one, and no error") {
  struct Row {
    const char* why;
    std::size_t free_bytes;
    std::size_t allocates;
    bool times;
  };
  const Row rows[] = {
      {"just enough", 2000, 2000, true},
      {"less is free than both take", 1999, kPlenty, false},
      {"the second cannot be allocated", kPlenty, 1999, false},
      {"none can be allocated", kPlenty, 0, false},
  };
  for (const Row& row : rows) {
    INFO(row.why);
    const ScarceTarget target(row.free_bytes, row.allocates);
    CHECK(time_copy(target, 2000, 3).has_value() == row.times);
    CHECK(target.copies.empty() == !row.times);
  }
}
