// Work spread over the machine's cores.
#pragma once

#include <cstdint>
#include <functional>

namespace ropejit::internal {

/// Calls work(i) once for every i of [0, count), from as many threads as there are cores, and waits. After the
/// first exception no further i is begun; that exception is thrown here.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work);

}  // namespace ropejit::internal
