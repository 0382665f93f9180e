#include "cuda/kept_constants.hpp"

#include "cuda/relaxed_capture.hpp"
#include "support/made_once.hpp"

namespace ropejit::internal {

CUdeviceptr KeptConstants::find(const DriverApi& api, const ConstantKey& key) const {
  std::vector<CUdeviceptr> waiting;
  const CUdeviceptr found = kept_.with([&](Kept& kept) -> CUdeviceptr {
    if (const auto at = kept.waiting.find(key.context); at != kept.waiting.end()) {
      waiting = std::move(at->second);
      kept.waiting.erase(at);
    }
    const auto at = kept.launched.find(key);
    return at == kept.launched.end() ? 0 : at->second;
  });
  const RelaxedCapture relaxed(api);
  for (const CUdeviceptr data : waiting) api.p_cuMemFree(data);
  return found;
}

void KeptConstants::release(const DriverApi& api, const ConstantKey& key, CUdeviceptr data,
                            bool was_launched) const noexcept {
  if (!api.is_of_this_process()) return;
  try {
    if (was_launched) {
      // Where two of the same were launched, one of them stays to no use.
      kept_.with([&](Kept& kept) { kept.launched.emplace(key, data); });
    } else if (key.context != 0 && current_context_number(api) == key.context) {
      const RelaxedCapture relaxed(api);
      api.p_cuMemFree(data);
    } else {
      kept_.with([&](Kept& kept) { kept.waiting[key.context].push_back(data); });
    }
  } catch (...) {
    // Without memory to remember it by, it stays.
  }
}

const KeptConstants& kept_constants() {
  static constinit MadeOnce<KeptConstants> all;
  return all.get([] { return KeptConstants(); });
}

}  // namespace ropejit::internal
