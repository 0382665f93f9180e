// ropejit_bench: how fast kernels are beside copies of the same bytes, what a launch costs the host, and how long the
// first launch of a process takes. Exit status 0: all is well; 1: it failed; 2: bad usage or bad input.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "bench/commands.hpp"
#include "ropejit/error.hpp"

namespace {

constexpr std::string_view kUsage =
    R"(usage: ropejit_bench [OPTIONS]          times variants beside copies of the same bytes
       ropejit_bench report FILE...     tables in Markdown of what --resume files hold
       ropejit_bench host [--device D]  ns that launch adds to the driver's own launch
       ropejit_bench first [--prologue] [--device D] [--repeats N] [--bundle FILE]   the first launch of a process: empty
                                        cache, disk, memory; and of a frozen one, with binaries in a bundle
       ropejit_bench records --out FILE [--device D] [--budget-s N]   tunes the models that records are shipped for
       ropejit_bench background [--device D] [--seconds N] [--percent N]   what tuning costs launches beside it

  --set gate|quick|full|prologue   which cells (gate)
  --cell NAME                  only the case of this name, or those with it in their names
  --tokens LIST                these token counts instead of the set's: 1,64,4096
  --shard I/N                  the I-th of N parts
  --variants WHICH             default: what serves untuned; best: that and the fastest of the candidates (the
                               default); all: that and the fastest of the whole space; or names with commas between
  --l2 hot|cold                tensors in the L2 cache or not (as it comes: large ones are not)
  --resume FILE                JSON lines go there; cells that it has already are left out
  --budget-s SECONDS           stop after the cell in which the time is up, and say how many are left
  --trials FILE                what every variant took when it was tried, a JSON line a cell
  --dry-run                    list the cells
  --variant ID                 as --variants ID; with
  --launches N                 launch it N times on the one cell that is left, and do nothing else: for profilers
  --device auto|cuda|cuda:N|host
)";

}  // namespace

int main(int argc, char** argv) try {
  // A reader that goes away and a limit on files are errors of write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  using namespace ropejit::bench;
  const Words words(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string_view command = words.empty() ? "" : words[0];
  const Words rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  if (command == "--help" || command == "-h") {
    std::printf("%.*s", static_cast<int>(kUsage.size()), kUsage.data());
  } else if (command == "host") {
    host_command(rest);
  } else if (command == "first") {
    first_command(rest);
  } else if (command == "records") {
    records_command(rest);
  } else if (command == "background") {
    background_command(rest);
  } else if (command == "report") {
    report_command(rest);
  } else {
    sweep_command(words);
  }
  return 0;
} catch (const ropejit::Error& error) {
  std::fprintf(stderr, "ropejit_bench: %s\n%s", error.what(), error.log().c_str());
  const bool input =
      error.code() == ropejit::ErrorCode::invalid_argument || error.code() == ropejit::ErrorCode::parse_error;
  return input ? 2 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "ropejit_bench: %s\n", error.what());
  return 1;
}
