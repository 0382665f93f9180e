#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "reliability/small_plans.hpp"
#include "reliability/tally.hpp"
#include "reliability/worker_job.hpp"

namespace ropejit::test {
namespace {

ServiceOptions with_tuner(Tally& tally) {
  ServiceOptions options = tally.options();
  options.tuning = Tuning::background;
  options.tuning_share = 1;
  options.tuning_tokens = {1, 64};
  return options;
}

}  // namespace

int fork_job(const WorkerArguments& arguments) {
  const std::string mode = arguments.text("mode", "untouched");
  Tally tally;
  int status = 0;
  {
    const RopeService service(mode == "tuning" || mode == "pausing" ? with_tuner(tally) : tally.options());
    RopeKernel before;
    if (mode != "untouched") before = get(service, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(arguments.number("after_ms", 0)));
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("cannot fork");
    if (child == 0) {
      if (before) tally.check(before, 1);
      if (mode == "pausing") {
        service.pause_tuning();
        service.resume_tuning();
      }
      tally.use(service, 0, 2);
      tally.use(service, 1, 3);
      tally.use(RopeService(tally.options()), 2, 4);
      tally.print();
      // By way of destructors, as a child of a well-behaved program ends.
      return tally.all_right() ? 0 : 1;
    }
    ::waitpid(child, &status, 0);
    tally.use(service, 0, 5);
    tally.use(service, 3, 6);
  }
  llvm::json::Object object = tally.json();
  object["child_status"] = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  print_line(std::move(object));
  return tally.all_right() && status == 0 ? 0 : 1;
}

int leak_job(const WorkerArguments& arguments) {
  const std::string mode = arguments.text("mode", "return");
  // Lives on while the process ends, and so does its tuner's thread.
  auto* const tally = new Tally;
  auto* const service = new RopeService(with_tuner(*tally));
  for (int number = 0; number < 2; ++number) tally->use(*service, number, static_cast<std::uint64_t>(number));
  std::this_thread::sleep_for(std::chrono::milliseconds(arguments.number("after_ms", 300)));
  tally->print();
  const int status = tally->all_right() ? 0 : 1;
  if (mode == "exit") std::exit(status);
  if (mode == "static") {
    static const RopeService last = *service;
    delete service;
  }
  return status;
}

}  // namespace ropejit::test
