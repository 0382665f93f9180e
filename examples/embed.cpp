#include <cstdio>
#include <vector>

#include "ropejit/ropejit.hpp"

int main() {               // get throws ropejit::Error; launch returns a status
  ropejit::RopeSpec spec;  // or ropejit::RopeSpec::from_hf_config(text of a model's config.json)
  spec.dtype = ropejit::DType::fp32;
  spec.rotary_dim = 64;
  spec.q = {8, 64, 0};  // heads, head_dim, first lane that rotates
  spec.k = ropejit::Operand{2, 64, 0};
  ropejit::ServiceOptions options;
  options.device = "host";  // with "cuda" the same calls take device pointers and a stream
  const ropejit::RopeService service(options);
  const ropejit::RopeKernel rope = service.get(spec, ropejit::LaunchForm::in_place_start());

  std::vector<float> q(3 * 8 * 64, 1.0f), k(3 * 2 * 64, 1.0f);  // [tokens, heads, head_dim]
  ropejit::RopeArgs args;
  args.q.data = q.data();
  args.k.data = k.data();
  args.tokens = 3;
  args.positions = ropejit::Positions::start(0);
  if (!rope.launch(args)) return 1;
  std::printf("lane 0 at position 1: %.6f (cos 1 - sin 1 = -0.301169)\n", q[8 * 64]);
}
