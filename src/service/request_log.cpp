#include "service/request_log.hpp"

#include <fcntl.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include "store/file_ops.hpp"
#include "support/json.hpp"

namespace ropejit::internal {
namespace {

// Not of a program that runs with more rights than its caller has: it would write where the caller may not.
std::string path_that_is_allowed() {
  const char* const path = ::secure_getenv("ROPEJIT_RECORD");
  return path == nullptr ? std::string() : path;
}

}  // namespace

std::string request_line(const RopeSpec& spec, const LaunchForm& form, const DeviceKey& device,
                         const std::vector<ServingChoice>& choices) {
  std::vector<std::string> variants;
  for (const ServingChoice& choice : choices) {
    std::string name = to_string(choice.variant);
    if (std::find(variants.begin(), variants.end(), name) == variants.end()) variants.push_back(std::move(name));
  }
  llvm::json::Array names;
  for (const std::string& name : variants) names.push_back(name);
  llvm::json::Object line{{"schema", 1},
                          {"spec", parse_json_object(spec.to_json())},
                          {"form", parse_json_object(form.to_json())},
                          {"arch", device.arch},
                          {"device", to_string(device)},
                          {"variants", std::move(names)}};
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(line));
  return text;
}

RequestLog::RequestLog(Events& events) : path_(path_that_is_allowed()), events_(events) {}

void RequestLog::add(const std::string& line) const {
  const FileOps& ops = system_file_ops();
  const std::string text = line + "\n";
  const auto warn = [&](const char* what) {
    events_.warn(fmt::format("ROPEJIT_RECORD: cannot {} {}: {}", what, path_, std::generic_category().message(errno)));
  };
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
  OpenFile file(ops, retry_interrupted([&] { return ops.open(AT_FDCWD, path_.c_str(), kFlags, 0644); }));
  if (!file) return warn("open");
  const ssize_t written = retry_interrupted([&] { return ops.write(file.get(), text.data(), text.size()); });
  if (written != static_cast<ssize_t>(text.size())) {
    if (written >= 0) errno = ENOSPC;
    return warn("append to");
  }
  if (!file.close()) warn("append to");
}

}  // namespace ropejit::internal
