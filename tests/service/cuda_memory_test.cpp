// What of a GPU's memory stays, and what goes, when a service forgets its kernels.
#include <cstdint>
#include <vector>

#include "service/gpu.hpp"
#include "support/scratch_folder.hpp"

using namespace ropejit;
using namespace ropejit::test::gpu;

TEST_CASE("What a graph holds stays when its service forgets it, and is loaded once however often it is got",
          "[cuda]") {
  if (!has_gpu()) return;
  const OwnContext context;
  Tensors tensors;
  for (const OnMiss on_miss : {OnMiss::compile, OnMiss::generic}) {
    ServiceOptions options = options_of(on_miss);
    options.most_kernels = 1;
    const test::ScratchFolder folder;
    options.cache_dir = folder.path();
    const RopeService service(options);
    const CapturedLaunch captured(
        tensors, 4, [&](CUstream stream) { return tensors.launch(service.get(plain_spec(), kForm), 4, stream); });
    std::size_t free_at_first = 0;
    std::size_t free_at_last = 0;
    std::size_t total = 0;
    for (int i = 0; i < 500; ++i) {
      CHECK(service.forget(plain_spec(), kForm));
      const RopeKernel again = service.get(plain_spec(), kForm);
      if (!tensors.launch(again)) FAIL_CHECK("a launch of a kernel that was got again");
      REQUIRE(api().p_cuCtxSynchronize() == CUDA_SUCCESS);
      if (i == 50) REQUIRE(api().p_cuMemGetInfo(&free_at_first, &total) == CUDA_SUCCESS);
    }
    REQUIRE(api().p_cuMemGetInfo(&free_at_last, &total) == CUDA_SUCCESS);
    // 450 copies of the code would be tens of megabytes; other processes may use the device.
    CHECK(free_at_last + (std::size_t{4} << 20) > free_at_first);
    service.forget_unused();
    captured.replay_and_check();
  }
}

TEST_CASE("Numbers on the device go with a kernel that was never launched, and stay once with one that was", "[cuda]") {
  if (!has_gpu()) return;
  const OwnContext context;
  const auto target = internal::cuda_target(0, std::nullopt);
  std::vector<std::uint64_t> numbers(1 << 17);  // a megabyte: beyond what the driver hands out from what it has
  const std::size_t bytes = numbers.size() * sizeof(std::uint64_t);
  const std::size_t before = target->free_bytes();
  for (std::uint64_t i = 0; i < 64; ++i) {
    numbers[0] = i;
    target->constant(numbers.data(), bytes);
  }
  CHECK(target->free_bytes() + (std::size_t{8} << 20) > before);
  const void* first = nullptr;
  for (int i = 0; i < 64; ++i) {
    const internal::DeviceConstant constant = target->constant(numbers.data(), bytes);
    if (constant.launched) constant.launched->store(true);
    if (i == 0) first = constant.data.get();
    CHECK(constant.data.get() == first);
  }
  CHECK(target->free_bytes() + (std::size_t{8} << 20) > before);
}
