// A GPU's life under a service: several contexts and devices, captures, contexts that go, forks. The last case resets
// the device, after which nothing else in this process can use it: the file is to be run by itself.
#include <cstdint>
#include <thread>
#include <vector>

#include "service/gpu.hpp"
#include "support/child.hpp"

using namespace ropejit;
using namespace ropejit::test::gpu;

TEST_CASE("A kernel made in one context serves another of the same device", "[cuda]") {
  if (!has_gpu()) return;
  for (const OnMiss on_miss : {OnMiss::compile, OnMiss::generic}) {
    const RopeService service(options_of(on_miss));
    const OwnContext first;
    const RopeKernel kernel = service.get(plain_spec(), kForm);
    const Tensors here;
    REQUIRE(here.launch(kernel));
    CHECK(here.rotated());
    {
      const OwnContext second;
      const Tensors there;
      REQUIRE(there.launch(kernel, 7));
      CHECK(there.rotated(7));
    }
    const Tensors again;
    REQUIRE(again.launch(kernel, 9));
    CHECK(again.rotated(9));
  }
}

TEST_CASE("Numbers of a length serve the contexts that a get was made in, and are refused in others", "[cuda]") {
  if (!has_gpu()) return;
  const RopeService service(options_of());
  const OwnContext first;
  const RopeKernel kernel = service.get(spec_that_needs_length(), kForm);
  const Tensors here;
  REQUIRE(here.launch(kernel));
  CHECK(here.rotated());
  {
    const OwnContext second;
    const Tensors there;
    const LaunchStatus status = there.launch(kernel);
    CHECK(status.code == ErrorCode::not_prepared);
    CHECK(status.message().find("context") != std::string::npos);
    // Nothing was broken by it, and a get in this context makes a handle for it.
    const RopeKernel own = service.get(spec_that_needs_length(), kForm);
    REQUIRE(there.launch(own, 3));
    CHECK(there.rotated(3));
  }
  const Tensors again;
  REQUIRE(again.launch(kernel));
  CHECK(again.rotated());
}

TEST_CASE("A context that is destroyed early gives an error or a launch elsewhere, and no crash", "[cuda]") {
  if (!has_gpu()) return;
  const RopeService service(options_of());
  RopeKernel kernel;
  RopeKernel lengthy;
  {
    OwnContext context;
    kernel = service.get(plain_spec(), kForm);
    lengthy = service.get(spec_that_needs_length(), kForm);
    const Tensors tensors;
    REQUIRE(tensors.launch(kernel));
    REQUIRE(tensors.launch(lengthy));
    CHECK(tensors.rotated() == false);  // twice: by 2 p
    context.end();
    // Without any context.
    RopeArgs args;
    float nothing = 0;
    args.q.data = &nothing;
    args.tokens = 1;
    args.positions = Positions::start(0);
    CHECK_FALSE(kernel.launch(args));
  }
  const OwnContext context;
  const Tensors tensors;
  REQUIRE(tensors.launch(kernel, 2));
  CHECK(tensors.rotated(2));
  CHECK_FALSE(tensors.launch(lengthy));
  CHECK(service.get(plain_spec(), kForm));
}

TEST_CASE("The first get may come while a stream is being captured, and its launch be captured", "[cuda]") {
  if (!has_gpu()) return;
  for (const OnMiss on_miss : {OnMiss::compile, OnMiss::generic}) {
    const OwnContext context;
    Tensors tensors;
    RopeKernel kernel;
    const CapturedLaunch captured(tensors, 4, [&](CUstream stream) {
      kernel = RopeService(options_of(on_miss)).get(plain_spec(), kForm);
      return tensors.launch(kernel, 4, stream);
    });
    // The service went; what the graph holds stays.
    for (int i = 0; i < 3; ++i) captured.replay_and_check();
  }
}

TEST_CASE("A child of fork is told that the GPU stays with its parent", "[cuda]") {
  if (!has_gpu()) return;
  const RopeService service(options_of(OnMiss::generic));
  const OwnContext context;
  const RopeKernel kernel = service.get(plain_spec(), kForm);
  const Tensors tensors;
  const auto is_refused = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code() == ErrorCode::device_unavailable;
    }
    return false;
  };
  CHECK(test::in_child([&] {
          // Not by the host in its place, either.
          const RopeService any(options_of(OnMiss::generic, "auto"));
          const RopeService host(options_of(OnMiss::generic, "host"));
          return is_refused([&] { service.get(plain_spec(), kForm); }) &&
                 is_refused([&] { service.wait_for_compiles(1); }) &&
                 is_refused([&] { any.get(plain_spec(), kForm); }) &&
                 static_cast<bool>(host.get(plain_spec(), kForm)) &&
                 tensors.launch(kernel).code == ErrorCode::device_unavailable;
        }) == "");
  CHECK(tensors.launch(kernel, 2));
  CHECK(tensors.rotated(2));
}

TEST_CASE("One service serves two GPUs at once, from a thread of each", "[cuda]") {
  if (!has_gpu()) return;
  if (internal::cuda_info().devices < 2) {
    WARN("one GPU here: nothing to try");
    return;
  }
  const RopeService service(options_of());
  const RopeKernel kernel = service.get(plain_spec(), kForm);
  std::vector<int> wrong(2, 0);
  std::vector<std::thread> threads;
  for (int device = 0; device < 2; ++device) {
    threads.emplace_back([&, device] {
      const auto target = internal::cuda_target(device, std::nullopt);
      target->make_current();
      for (int i = 0; i < 500; ++i) {
        Tensors tensors;
        const RopeKernel own = service.get(i % 2 == 0 ? plain_spec() : spec_that_needs_length(), kForm);
        if (!tensors.launch(own, i % 50) || !tensors.rotated(i % 50)) ++wrong[static_cast<std::size_t>(device)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>{0, 0});
}

// Last: the primary context is gone after it.
TEST_CASE("A device that is reset under a service gives errors and not a crash", "[cuda]") {
  if (!has_gpu()) return;
  const auto target = internal::cuda_target(0, std::nullopt);
  target->make_current();
  const RopeService service(options_of());
  const RopeKernel kernel = service.get(plain_spec(), kForm);
  const RopeKernel lengthy = service.get(spec_that_needs_length(), kForm);
  {
    const Tensors tensors;
    REQUIRE(tensors.launch(kernel));
    CHECK(tensors.rotated());
  }
  REQUIRE(driver().primary_reset(0) == 0);
  RopeArgs args;
  float nothing = 0;
  args.q.data = &nothing;
  args.tokens = 1;
  args.positions = Positions::start(0);
  CHECK_FALSE(lengthy.launch(args));
  const LaunchStatus status = kernel.launch(args);
  INFO(status.message());
  api().p_cuCtxSetCurrent(nullptr);
  target->make_current();
  const OwnContext context;
  const Tensors tensors;
  CHECK(tensors.launch(kernel, 6));
  CHECK(tensors.rotated(6));
}
