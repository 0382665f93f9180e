#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "reliability/tally.hpp"
#include "reliability/worker_job.hpp"

namespace ropejit::test {

int use_job(const WorkerArguments& arguments) {
  const auto plans = static_cast<int>(arguments.number("plans", 1));
  const auto first = static_cast<int>(arguments.number("first", 0));
  const auto rounds = static_cast<int>(arguments.number("rounds", 1));
  const std::string go = arguments.text("go");
  while (!go.empty() && !std::filesystem::exists(go)) std::this_thread::sleep_for(std::chrono::milliseconds(2));

  Tally tally;
  ServiceStats stats;
  {
    const RopeService service(tally.options());
    std::vector<std::thread> threads;
    for (int t = 0; t < static_cast<int>(arguments.number("threads", 1)); ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < plans * rounds; ++i) {
          tally.use(service, first + (i + t) % plans, static_cast<std::uint64_t>(i * 64 + t));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    stats = service.stats();
  }
  llvm::json::Object object = tally.json();
  object["compiles"] = static_cast<std::int64_t>(stats.compiles);
  object["waits"] = static_cast<std::int64_t>(stats.waits);
  print_line(std::move(object));
  return tally.all_right() ? 0 : 1;
}

int serve_job(const WorkerArguments&) {
  std::unique_ptr<Tally> tally = std::make_unique<Tally>();
  // The one that warns is the service's own; what it says between two lines belongs to the later.
  std::optional<RopeService> service;
  Tally* current = tally.get();
  const auto options = [&current] {
    ServiceOptions made = current->options();
    made.warn = [&current](std::string_view line) { current->warn(line); };
    return made;
  };
  bool right = true;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    int number = 0;
    words >> verb >> number;
    tally = std::make_unique<Tally>();
    current = tally.get();
    if (verb == "new" || !service) service.emplace(options());
    current->use(*service, number, static_cast<std::uint64_t>(number));
    current->print();
    right = right && current->all_right();
  }
  return right ? 0 : 1;
}

}  // namespace ropejit::test
