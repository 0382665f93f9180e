// ropejit try, which the Python package's command of the same name has: a model before and after needs torch. Here is
// its line in the help, and where it is to be found.
#include <vector>

#include "cli/command.hpp"
#include "cli/model_case.hpp"
#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

int run_try(const Arguments&) {
  throw Error(ErrorCode::unsupported, "arguments",
              "try: found the program by itself, allowed: the command ropejit of the Python package, or python3 -m "
              "ropejit try; ropejit run shows the kernel alone");
}

}  // namespace

Command try_command() {
  return {"try",
          "shows in a minute what the kernels are worth on this machine (the Python package's command)",
          joined({{{"--model", "MODEL", "as run takes it (qwen3-0.6b)"}},
                  layer_flags(),
                  {{"--device", "DEVICE", "auto, cuda, cuda:N or host ($ROPEJIT_DEVICE, else auto)"},
                   {"--json", "", "one JSON object on stdout"}}}),
          {},
          run_try};
}

}  // namespace ropejit::internal
