#include "service/request_log.hpp"

#include <stdlib.h>

#include <algorithm>

#include <fmt/format.h>
#include <llvm/ADT/STLExtras.h>
#include <llvm/Support/JSON.h>
#include <llvm/Support/raw_ostream.h>

#include "store/file/output.hpp"
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
    if (!llvm::is_contained(variants, name)) variants.push_back(std::move(name));
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
  const OutputFile file(system_file_ops(), path_);
  // A write to a pipe whose reader went away would end the process that this library is in.
  if (file.kind() == OutputFile::Kind::pipe) {
    return events_.warn(
        fmt::format("ROPEJIT_RECORD: {}: found a pipe, allowed: a regular file or a character device", path_));
  }
  const std::string problem = file.append(line + "\n", 0644);
  if (!problem.empty()) events_.warn("ROPEJIT_RECORD: " + problem);
}

}  // namespace ropejit::internal
