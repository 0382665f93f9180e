// The binaries that plans need on architectures: what `warm` makes and `check` looks for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codegen/variant.hpp"
#include "deploy/warm_plan.hpp"
#include "service/keyed_source.hpp"
#include "service/record_shelf.hpp"
#include "target/target.hpp"
#include "tune/record.hpp"

namespace ropejit::internal {

/// An architecture, and the devices of it that are to be served.
struct WarmTarget {
  std::shared_ptr<const BuildTarget> build;
  std::vector<DeviceKey> devices;
};

/// `arch` as arch_named has it. `only`: if any of these are of the arch, no other device is served. Else those of
/// `with_records`, and every other one, by the defaults. Loads no compiler and needs no device.
WarmTarget warm_target(const std::string& arch, const std::vector<DeviceKey>& only,
                       const std::vector<DeviceKey>& with_records);

/// The devices that the shipped records, and those of a cache, are of; each once.
std::vector<DeviceKey> devices_with_records(const BinaryStore& store);

struct WarmItem {
  std::size_t plan = 0;    ///< into WarmList::plans
  std::size_t target = 0;  ///< into WarmList::targets
  Variant variant;
  std::string key;  ///< the entry's: 64 hex digits
};

/// What plans and targets come to: each entry once, whichever models, dtypes and layers share it.
struct WarmList {
  std::vector<WarmPlan> plans;
  std::vector<WarmTarget> targets;
  std::vector<WarmItem> items;  ///< target by target, in the order of plans
  std::size_t classes = 0;

  KeyedSource source(const WarmItem& item) const;
};

/// Lists for every plan and target the variants of serving_choices on each of its devices, which the universal entry is
/// one of; and, for the plan's class, what serves plans of other numbers on a device without records: the defaults and
/// the universal entry with their steps in a buffer.
WarmList list_warm_items(std::vector<WarmPlan> plans, std::vector<WarmTarget> targets, const RecordShelf& records);

}  // namespace ropejit::internal
