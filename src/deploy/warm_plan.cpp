#include "deploy/warm_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <map>

#include "codegen/legality.hpp"
#include "spec/lower.hpp"
#include "spec/read_spec.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kSchema{1, 1};

class Collector {
 public:
  explicit Collector(Problems& problems) : problems_(problems) {}

  void add(const RopeSpec& spec, const LaunchForm& form, const std::string& what,
           const std::vector<AskedVariant>& asked = {}) {
    ++plans_.asked;
    problems_.attempt(what, [&] {
      RotationPlan plan = lower(spec, form);
      const auto [place, is_new] = places_.try_emplace(plan.hash(), plans_.plans.size());
      if (is_new) plans_.plans.push_back({spec, form, std::move(plan), what});
      for (const AskedVariant& one : asked) ask(plans_.plans[place->second], one);
    });
  }

  void leave_out(std::string why) {
    std::vector<std::string>& all = plans_.left_out;
    if (!llvm::is_contained(all, why)) all.push_back(std::move(why));
  }

  WarmPlans take() && { return std::move(plans_); }

 private:
  static void ask(WarmPlan& plan, const AskedVariant& one) {
    if (const std::string why = why_illegal(plan.plan.kernel_class, one.variant); !why.empty()) {
      throw Error(ErrorCode::invalid_argument, "manifest",
                  fmt::format("variants: found {}, which is not legal here: {}", quoted(to_string(one.variant)), why));
    }
    plan.asked.push_back(one);
  }

  Problems& problems_;
  WarmPlans plans_;
  std::map<std::string, std::size_t> places_;  ///< in plans_, by hash
};

// What makes the sum of squares that a rank's norms over all heads are given; nothing where none is given one.
std::vector<RopeSpec> specs_of_sums(RopeSpec spec) {
  spec.v.reset();
  bool gives = false;
  for (Operand* operand : {&spec.q, spec.k ? &*spec.k : nullptr}) {
    if (operand == nullptr || !operand->norm || operand->norm->statistic != Statistic::given_sum) continue;
    operand->norm->statistic = Statistic::computed;
    operand->norm->global_heads = 0;
    gives = true;
  }
  if (!gives) return {};
  return {spec};
}

// As the runtime behind the form has it: one spec, or one for each tensor; of prologues, for a form of nothing but
// statistics, what makes them.
std::vector<RopeSpec> specs_of(RopeSpec spec, const WarmForm& form, bool of_prologue) {
  if (form.rounding) spec.rounding = *form.rounding;
  if (of_prologue && form.form.statistics_only) return specs_of_sums(std::move(spec));
  if (!form.apart || !spec.k) return {spec};
  RopeSpec q = spec;
  q.k.reset();
  RopeSpec k = q;
  k.q = *spec.k;
  return {q, k};
}

// The variants of a line that ROPEJIT_RECORD wrote; none where it has none.
std::vector<AskedVariant> read_variants(const llvm::json::Object& line, const std::string& arch) {
  std::vector<AskedVariant> asked;
  const llvm::json::Value* const value = line.get("variants");
  if (value == nullptr) return asked;
  constexpr const char* kAllowed = "an array of names as `ropejit variants` shows them";
  const auto wrong = [&](const llvm::json::Value& found) {
    return Error(ErrorCode::invalid_argument, "manifest",
                 fmt::format("variants: found {}, allowed: {}", describe(found), kAllowed));
  };
  if (value->getAsArray() == nullptr) throw wrong(*value);
  for (const llvm::json::Value& name : *value->getAsArray()) {
    const auto text = name.getAsString();
    const std::optional<Variant> variant = text ? parse_variant(std::string_view(*text)) : std::nullopt;
    if (!variant) throw wrong(name);
    asked.push_back({arch, *variant});
  }
  return asked;
}

// The runtime's form for that spec. Layers that share keys and values launch q alone.
LaunchForm form_of(const WarmForm& form, const RopeSpec& spec, bool of_prologue) {
  LaunchForm own = form.form;
  if (form.own_table_dtype) own.table_dtype = spec.dtype;
  if (!of_prologue) return own;
  if (!spec.k) own.k_rows = CacheRows::none;
  if (!spec.v) own.v_rows = CacheRows::none;
  // What is said of stores that are not there.
  own.k_beside = own.k_beside && spec.k;
  own.k_split = own.k_split && spec.k;
  own.v_beside = own.v_beside && spec.v;
  const auto is_table = [](CacheRows rows) { return rows == CacheRows::page_lists || rows == CacheRows::block_table; };
  if (!is_table(own.k_rows) && !is_table(own.v_rows)) {
    own.token_requests = TokenRequests::sequences;
    own.token_places = TokenPlaces::positions;
  }
  return own;
}

// A rank's share of heads; nothing where the degree neither divides them nor is a multiple of them.
std::optional<std::int64_t> share_of(std::int64_t heads, std::int64_t degree) {
  if (heads % degree == 0) return heads / degree;
  if (degree % heads == 0) return 1;
  return std::nullopt;
}

// A norm over all heads is then given the sum of squares of all ranks' heads; false where it has none to give.
bool share_norm(Operand& operand, std::int64_t heads, std::int64_t degree) {
  if (!operand.norm || operand.norm->span != NormSpan::token || degree == 1) return true;
  if (operand.norm->kind != NormKind::rms) return false;
  operand.norm->statistic = Statistic::given_sum;
  operand.norm->global_heads = heads;
  return true;
}

// "tensor_parallel: found 8, allowed for 28 query and 4 key heads: 1, 2, 4, 28".
std::string no_degree_fits(const WarmRope& rope, const std::vector<std::int64_t>& degrees) {
  std::vector<std::int64_t> allowed;
  for (std::int64_t degree = 1; degree <= rope.spec.q.heads; ++degree) {
    if (sharded(rope, degree)) allowed.push_back(degree);
  }
  return fmt::format("tensor_parallel: found {}, allowed for {} query heads{}: {}", fmt::join(degrees, ", "),
                     rope.spec.q.heads, rope.spec.k ? fmt::format(" and {} key heads", rope.spec.k->heads) : "",
                     fmt::join(allowed, ", "));
}

void expand_rope(const WarmManifest& manifest, const WarmModel& model, const WarmRope& rope, Collector& collector) {
  if (llvm::none_of(manifest.tensor_parallel, [&](std::int64_t degree) { return sharded(rope, degree).has_value(); })) {
    collector.leave_out(fmt::format("{}: {}", excerpt(model.name), no_degree_fits(rope, manifest.tensor_parallel)));
  }
  for (const std::int64_t degree : manifest.tensor_parallel) {
    std::optional<RopeSpec> spec = sharded(rope, degree);
    if (!spec) continue;
    for (const DType dtype : manifest.dtypes) {
      spec->dtype = dtype;
      for (const std::optional<Layout>& layout : manifest.layouts) {
        RopeSpec laid = *spec;
        if (layout) laid.layout = *layout;
        for (const WarmForm& form : manifest.forms) {
          for (const RopeSpec& one : specs_of(laid, form, rope.of_prologue)) {
            collector.add(one, form_of(form, one, rope.of_prologue),
                          fmt::format("{} {} tp {}{} {}", excerpt(model.name), to_string(dtype), degree,
                                      layout ? fmt::format(" {}", to_string(*layout)) : "", to_string(form)));
          }
        }
      }
    }
  }
}

}  // namespace

std::optional<RopeSpec> sharded(const WarmRope& rope, std::int64_t degree) {
  RopeSpec spec = rope.spec;
  if (rope.replicated) return spec;
  if (spec.q.heads % degree != 0) return std::nullopt;
  std::vector<Operand*> operands{&spec.q};
  if (spec.k) operands.push_back(&*spec.k);
  if (spec.v) operands.push_back(&*spec.v);
  if (spec.gate) operands.push_back(&*spec.gate);
  for (Operand* operand : operands) {
    const std::int64_t heads = operand->heads;
    const std::optional<std::int64_t> share = share_of(heads, degree);
    if (!share || !share_norm(*operand, heads, degree)) return std::nullopt;
    operand->heads = *share;
  }
  return spec;
}

WarmPlans expand(const WarmManifest& manifest, Problems& problems) {
  Collector collector(problems);
  for (const WarmModel& model : manifest.models) {
    for (const WarmRope& rope : model.ropes) expand_rope(manifest, model, rope, collector);
  }
  return std::move(collector).take();
}

Recorded read_recorded(std::string_view text, Problems& problems) {
  Recorded recorded;
  Collector collector(problems);
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = fmt::format("line {}", number);
    problems.attempt(place, [&] {
      const llvm::json::Object object = parse_json_object(line);
      const ObjectReader reader(object);
      reader.reject_unknown_keys({"schema", "spec", "form", "arch", "device", "variants"});
      reader.get_int("schema", kSchema);
      const ObjectReader spec = reader.get_object("spec");
      spec.get_int("schema", kSchema);
      const std::string arch = reader.get_string("arch", allowed_archs());
      const std::optional<std::string> known = arch_named(arch);
      if (!known) {
        throw Error(ErrorCode::invalid_argument, "manifest",
                    fmt::format("arch: found {}, allowed: {}", quoted(arch), allowed_archs()));
      }
      const std::string device = reader.get_string("device", "a device's key");
      const std::optional<DeviceKey> key = parse_device_key(device);
      if (!key || key->arch != *known) {
        throw Error(
            ErrorCode::invalid_argument, "manifest",
            fmt::format("device: found {}, allowed: {}/MULTIPROCESSORS/MHZ/BITS/L2_BYTES", quoted(device), *known));
      }
      const RopeSpec read = read_spec(spec, {"schema"});
      collector.add(read, read_form(reader.get_object("form")), fmt::format("{}: {}", place, read.to_string()),
                    read_variants(object, *known));
      if (!llvm::is_contained(recorded.archs, *known)) recorded.archs.push_back(*known);
      if (!llvm::is_contained(recorded.devices, *key)) recorded.devices.push_back(*key);
    });
  }
  recorded.plans = std::move(collector).take();
  return recorded;
}

}  // namespace ropejit::internal
