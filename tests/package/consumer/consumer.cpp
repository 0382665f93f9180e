// A rotation, and an exception that comes out of the library, through the C++ API.
#include "consumer.h"

#include <cstdio>
#include <exception>
#include <vector>

#include "ropejit/ropejit.hpp"

namespace {

// Catches by its type what code inside the library threw.
bool throws_its_error() {
  try {
    ropejit::RopeSpec::from_json("{\"schema\": 1, \"layout\": \"round\"}");
  } catch (const ropejit::Error& error) {
    return error.code() != ropejit::ErrorCode::ok;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "caught as another type: %s\n", error.what());
  }
  return false;
}

}  // namespace

int rotate_in_cpp(void) {
  ropejit::RopeSpec spec;
  spec.dtype = ropejit::DType::fp32;
  spec.rotary_dim = 64;
  spec.q = {2, 64, 0};
  ropejit::ServiceOptions options;
  options.device = "host";
  const ropejit::RopeService service(options);
  const ropejit::RopeKernel rope = service.get(spec, ropejit::LaunchForm::in_place_start());
  std::vector<float> q(3 * 2 * 64, 1.0f);
  ropejit::RopeArgs args;
  args.q.data = q.data();
  args.tokens = 3;
  args.positions = ropejit::Positions::start(0);
  if (!rope.launch(args)) return 1;
  const bool right = q[2 * 64] > -0.301170f && q[2 * 64] < -0.301167f;
  return right && throws_its_error() ? 0 : 1;
}
