#include "tune/validation.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "ropejit/error.hpp"
#include "tune/workload.hpp"

namespace ropejit::internal {
namespace {

constexpr std::size_t kGuard = 4096;
constexpr std::size_t kMostBytes = std::size_t{16} << 20;

/// Finite in every dtype, of both signs, all different.
std::vector<char> made_up(std::size_t bytes) {
  std::vector<std::uint32_t> words((bytes + 3) / 4);
  std::uint32_t state = 12345;
  for (std::uint32_t& word : words) {
    state = state * 1664525U + 1013904223U;
    word = 0x3f803f80U ^ ((state >> 8 ^ state << 9) & 0x80ff80ffU);
  }
  std::vector<char> all(bytes);
  std::memcpy(all.data(), words.data(), bytes);
  return all;
}

std::vector<char> bytes_after(const Target& target, const PreparedKernel& kernel, const Workload& workload,
                              const DeviceBuffer& memory, const std::vector<char>& before) {
  auto* const set = static_cast<char*>(memory.data());
  target.upload_aside(set, before.data(), before.size());
  LaunchStatus status;
  // Making it runs it, once.
  const auto run = target.record(
      [&](Recorder& recorder, int) { status = launch_prepared(kernel, workload.args(set), &recorder); }, 1);
  if (!status) throw Error(status.code, "launch", status.message());
  std::vector<char> after(before.size());
  target.download_aside(after.data(), set, after.size());
  return after;
}

/// The first byte of [begin, end) at which the two differ; `end` where there is none.
std::size_t first_difference(const std::vector<char>& a, const std::vector<char>& b, Extent extent) {
  const auto at = [](const std::vector<char>& bytes, std::size_t place) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(place);
  };
  return static_cast<std::size_t>(std::mismatch(at(a, extent.begin), at(a, extent.end), at(b, extent.begin)).first -
                                  a.begin());
}

}  // namespace

std::string why_wrong(const Target& target, const PreparedKernel& kernel, const PreparedKernel& reference,
                      std::int64_t tokens) {
  const std::size_t each = Workload(target, kernel.kernel_class, 1).set_bytes();
  const auto most = static_cast<std::int64_t>(std::max<std::size_t>(kMostBytes / each, 1));
  const Workload workload(target, kernel.kernel_class, std::min(tokens, most), kGuard);
  const DeviceBuffer memory = target.allocate(workload.set_bytes());
  const std::vector<char> before = made_up(workload.set_bytes());
  const std::vector<char> wanted = bytes_after(target, reference, workload, memory, before);
  const std::vector<char> found = bytes_after(target, kernel, workload, memory, before);
  std::size_t from = 0;
  for (const Extent& output : workload.written()) {  // in order of place
    if (const std::size_t at = first_difference(found, before, {from, output.begin}); at != output.begin) {
      return fmt::format("it writes outside its outputs, at byte {} of a set", at);
    }
    if (const std::size_t at = first_difference(found, wanted, output); at != output.end) {
      return fmt::format("its bits are not the universal entry's, from byte {} of a set on", at);
    }
    from = output.end;
  }
  if (const std::size_t at = first_difference(found, before, {from, found.size()}); at != found.size()) {
    return fmt::format("it writes outside its outputs, at byte {} of a set", at);
  }
  return {};
}

}  // namespace ropejit::internal
