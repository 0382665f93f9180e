#include <string>

#include <fmt/format.h>

#include "ropejit/stats.hpp"
#include "support/usual_arithmetic.hpp"

namespace ropejit {
inline namespace v0 {
namespace {

struct Counter {
  const char* name;  // without "ropejit_" and "_total"
  const char* help;
  std::uint64_t ServiceStats::*count;
  double ServiceStats::*milliseconds = nullptr;  // in place of a count
};
constexpr Counter kCounters[] = {
    {"gets", "Kernels returned by get.", &ServiceStats::gets},
    {"gets_failed", "Calls of get that failed.", &ServiceStats::gets_failed},
    {"memory_hits", "Gets whose kernel was there.", &ServiceStats::memory_hits},
    {"disk_hits", "Binaries read from the cache directory.", &ServiceStats::disk_hits},
    {"shared_hits", "Binaries read from a read-only directory.", &ServiceStats::shared_hits},
    {"buffered_hits", "Binaries of the class that serve with steps from a buffer.", &ServiceStats::buffered_hits},
    {"compiles", "Binaries compiled.", &ServiceStats::compiles},
    {"compiles_failed", "Compiles that failed.", &ServiceStats::compiles_failed},
    {"generic_kernels", "Kernels that the generic one serves, at least in part.", &ServiceStats::generic_kernels},
    {"waits", "Binaries that another process had compiled by the time their lock was had.", &ServiceStats::waits},
    {"waits_timed_out", "Locks that another process kept for longer than is waited.", &ServiceStats::waits_timed_out},
    {"entries_refused", "Cache entries found and not used.", &ServiceStats::entries_refused},
    {"entries_quarantined", "Damaged cache entries moved aside.", &ServiceStats::entries_quarantined},
    {"entries_written", "Cache entries written.", &ServiceStats::entries_written},
    {"writes_failed", "Cache entries that could not be written.", &ServiceStats::writes_failed},
    {"bytes_read", "Bytes of cache entries read.", &ServiceStats::bytes_read},
    {"bytes_written", "Bytes of cache entries written.", &ServiceStats::bytes_written},
    {"classes_tuned", "Kernel classes tuned.", &ServiceStats::classes_tuned},
    {"kernels_forgotten", "Kernels let go, by forget or for the bound.", &ServiceStats::kernels_forgotten},
    {"warnings", "Warnings given.", &ServiceStats::warnings},
    {"compile_seconds", "Time of all compiles, added up.", nullptr, &ServiceStats::compile_ms},
    {"load_seconds", "Time of reading, checking and loading binaries.", nullptr, &ServiceStats::load_ms},
    {"wait_seconds", "Time of waits for locks of binaries.", nullptr, &ServiceStats::wait_ms},
};

}  // namespace

std::string prometheus_text(const ServiceStats& stats, const std::string& labels) {
  const internal::UsualArithmetic arithmetic;
  const std::string braces = labels.empty() ? std::string() : fmt::format("{{{}}}", labels);
  std::string text;
  for (const Counter& counter : kCounters) {
    const std::string value = counter.count != nullptr ? fmt::format("{}", stats.*counter.count)
                                                       : fmt::format("{:.6f}", stats.*counter.milliseconds / 1e3);
    text += fmt::format("# HELP ropejit_{0}_total {1}\n# TYPE ropejit_{0}_total counter\nropejit_{0}_total{2} {3}\n",
                        counter.name, counter.help, braces, value);
  }
  return text;
}

}  // namespace v0
}  // namespace ropejit
