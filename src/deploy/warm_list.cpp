#include "deploy/warm_list.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "codegen/default_variant.hpp"
#include "cuda/nvrtc_target.hpp"
#include "host/host_compiler.hpp"
#include "host/host_target.hpp"
#include "tune/choice.hpp"
#include "tune/record_file.hpp"

namespace ropejit::internal {
namespace {

// More multiprocessors than any GPU has: fewer only leave rows of the defaults out (codegen/default_variant.cpp), so
// that these are the rows of every GPU without records, of slices of one, and of products to come.
constexpr std::uint32_t kEveryRow = 4096;

void add_devices(const RecordSet& records, std::set<DeviceKey>& devices) {
  for (const TuningRecord& record : records.all()) devices.insert(record.device);
}

std::set<Variant> variants_of(const WarmPlan& asked, const WarmTarget& target, const RecordShelf& records) {
  const RotationPlan& plan = asked.plan;
  std::set<Variant> variants;
  for (const AskedVariant& one : asked.asked) {
    if (one.arch == target.build->arch()) variants.insert(one.variant);
  }
  for (const DeviceKey& device : target.devices) {
    const RecordSet known = records.about(device, plan.kernel_class);
    for (const ServingChoice& choice : serving_choices(plan, device, device.multiprocessors, known)) {
      variants.insert(choice.variant);
    }
  }
  if (plan.kernel_class.reads_table() || plan.needs_length) return variants;
  std::set<Variant> buffered;
  for (const DeviceKey& device : target.devices) {
    for (VariantChoice choice : serving_variants(plan, device.multiprocessors)) {
      choice.variant.buffered_steps = true;
      buffered.insert(choice.variant);
    }
  }
  variants.merge(buffered);
  return variants;
}

}  // namespace

std::vector<DeviceKey> devices_with_records(const BinaryStore& store) {
  std::set<DeviceKey> devices;
  for (const TextFile& file : shipped_records()) add_devices(parse_records(file.text, file.name).records, devices);
  for (const TierRecords& kept : store.records()) {
    if (kept.text) add_devices(parse_records(*kept.text, kept.directory).records, devices);
  }
  return {devices.begin(), devices.end()};
}

WarmTarget warm_target(const std::string& arch, const std::vector<DeviceKey>& only,
                       const std::vector<DeviceKey>& with_records) {
  WarmTarget target;
  const auto take = [&](const std::vector<DeviceKey>& devices) {
    for (const DeviceKey& device : devices) {
      if (device.arch == arch) target.devices.push_back(device);
    }
  };
  take(only);
  if (target.devices.empty()) {
    take(with_records);
    target.devices.push_back({arch, arch == kHostArch ? 1 : kEveryRow, 0, 0, 0});
  }
  if (arch == kHostArch) {
    target.build = host_target(std::nullopt);
  } else {
    target.build = nvrtc_build_target(arch, std::nullopt);
  }
  return target;
}

KeyedSource WarmList::source(const WarmItem& item) const {
  return {plans[item.plan].plan, item.variant, *targets[item.target].build};
}

WarmList list_warm_items(std::vector<WarmPlan> plans, std::vector<WarmTarget> targets, const RecordShelf& records) {
  WarmList list;
  list.plans = std::move(plans);
  list.targets = std::move(targets);
  std::set<std::string> classes;
  for (const WarmPlan& plan : list.plans) classes.insert(plan.plan.kernel_class.hash());
  list.classes = classes.size();
  std::set<std::string> keys;
  // Binaries of a class come with each of its plans: not to generate them again and again.
  std::set<std::tuple<std::size_t, std::string, Variant>> of_classes;
  for (std::size_t target = 0; target < list.targets.size(); ++target) {
    for (std::size_t plan = 0; plan < list.plans.size(); ++plan) {
      const RotationPlan& of = list.plans[plan].plan;
      const std::string hash = of.kernel_class.hash();
      for (const Variant& variant : variants_of(list.plans[plan], list.targets[target], records)) {
        if (variant.buffered_steps && !of_classes.insert({target, hash, variant}).second) continue;
        WarmItem item{plan, target, variant, {}};
        item.key = entry_key(list.source(item).preimage);
        if (keys.insert(item.key).second) list.items.push_back(std::move(item));
      }
    }
  }
  return list;
}

}  // namespace ropejit::internal
