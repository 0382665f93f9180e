// What ropejit_bench writes to a path that a person names, and every kind of path.
#include "support/output_paths.hpp"
#include "cli/program.hpp"
#include "support/catch.hpp"

using namespace ropejit::test;

namespace {

std::string bench_path() {
  if (const char* moved = std::getenv("ROPEJIT_BENCH")) return moved;
  return ROPEJIT_BENCH_PATH;
}

// `piecewise`: it appends, so that a pipe with a name is refused, too.
void check_paths(const std::vector<std::string>& words, bool piecewise, bool only_refusals) {
  Program program;
  program.path = bench_path();
  const ScratchFolder scratch;
  for (const OutputPath& made : output_paths(scratch.path(), "out", "")) {
    CAPTURE(words, made.kind);
    const bool works = made.becomes != Becomes::refused && !(piecewise && made.is_pipe());
    if (only_refusals && (works || (made.is_pipe() && !piecewise))) continue;
    const auto before = shape_of(made.folder);
    std::vector<std::string> all = words;
    all.push_back(made.path);
    const Finished ran = program(all);
    CAPTURE(ran.err);
    if (works) {
      CHECK(ran.status == 0);
    } else {
      CHECK((ran.status == 1 || ran.status == 2));
      CHECK(ran.err.find("ropejit_bench: ") == 0);
      CHECK(ran.err.find('\n') == ran.err.size() - 1);
    }
    check_shape(made, before, works);
  }
}

}  // namespace

TEST_CASE("A file of cells, of trials or of records is never made of what is no file", "[host]") {
  check_paths({"--set", "quick", "--dry-run", "--resume"}, true, false);
  check_paths({"--device", "host", "--set", "quick", "--cell", "32-8-128-split_half-bf16-in-table", "--tokens", "1",
               "--variants", "default", "--trials"},
              true, true);
  check_paths({"records", "--device", "host", "--budget-s", "1", "--out"}, false, true);
}
