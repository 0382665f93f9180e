#include "deploy/job_count.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include "support/text.hpp"

namespace ropejit::internal {
namespace {

std::optional<std::string> contents(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<std::uint64_t> number_at(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end != text.data() ? std::optional(value) : std::nullopt;
}

/// The value of a key in a text of lines "KEY value".
std::optional<std::uint64_t> value_of(const std::string& text, std::string_view key) {
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with(key)) return number_at(line.substr(key.size()));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number_of(const std::string& path) {
  const std::optional<std::string> text = contents(path);
  return text ? number_at(*text) : std::nullopt;  // "max" is none
}

void lower(std::optional<std::uint64_t>& least, std::optional<std::uint64_t> value) {
  if (value && (!least || *value < *least)) least = value;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* pages;  // in memory.stat
};

std::optional<std::uint64_t> left_in(const std::string& folder, const GroupFiles& files) {
  const std::optional<std::uint64_t> limit = number_of(folder + "/" + files.limit);
  const std::optional<std::uint64_t> usage = number_of(folder + "/" + files.usage);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t pages = value_of(contents(folder + "/memory.stat").value_or(""), files.pages).value_or(0);
  const std::uint64_t held = *usage - std::min(pages, *usage);
  return *limit - std::min(held, *limit);
}

/// The group's own limit and those of all above it.
void lower_by_groups(const std::string& mount, std::string path, const GroupFiles& files,
                     std::optional<std::uint64_t>& least) {
  for (;;) {
    lower(least, left_in(mount + path, files));
    if (path.empty() || path == "/") return;
    path.erase(path.find_last_of('/'));
  }
}

}  // namespace

std::optional<std::uint64_t> memory_left(const std::string& root) {
  std::optional<std::uint64_t> least;
  if (const auto kilobytes = value_of(contents(root + "/proc/meminfo").value_or(""), "MemAvailable:")) {
    least = *kilobytes * 1024;
  }
  std::istringstream groups(contents(root + "/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(groups, line);) {
    // "0::/path" of version 2; "9:memory:/path" of version 1.
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      lower_by_groups(root + "/sys/fs/cgroup", path, {"memory.max", "memory.current", "inactive_file"}, least);
    } else if (controllers == "memory") {
      lower_by_groups(root + "/sys/fs/cgroup/memory", path,
                      {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}, least);
    }
  }
  return least;
}

unsigned jobs_within(unsigned cores, std::optional<std::uint64_t> left) {
  const std::uint64_t by_memory = left ? *left / kCompileBytes : cores;
  return static_cast<unsigned>(std::max<std::uint64_t>(1, std::min<std::uint64_t>(cores, by_memory)));
}

unsigned default_jobs() { return jobs_within(std::max(1U, std::thread::hardware_concurrency()), memory_left()); }

}  // namespace ropejit::internal
