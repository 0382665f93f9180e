#include "service/keyed_source.hpp"

#include <fmt/format.h>

#include "codegen/generate.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {

std::string key_preimage(const RotationPlan& plan, const Variant& variant, const std::string& generated_text,
                         const BuildTarget& target) {
  const std::string of = variant.buffered_steps ? "class " + plan.kernel_class.hash() : "plan " + plan.hash();
  return fmt::format("ropejit binary 1\n{}\nvariant {}\narch {}\nrecipe {}\nsource {}\ntemplates {}\n", of,
                     to_string(variant), target.arch(), target.recipe(), blake3_hex(generated_text, 16),
                     templates_digest());
}

KeyedSource::KeyedSource(const RotationPlan& plan, const Variant& of, const BuildTarget& target)
    : variant(of),
      arch(target.arch()),
      source(generate(plan, of)),
      preimage(key_preimage(plan, of, source.text, target)) {}

Entry KeyedSource::entry(const CompiledBinary& compiled) const {
  const EntryMetadata metadata{.key_preimage = preimage,
                               .arch = arch,
                               .entry = source.entry,
                               .variant = to_string(variant),
                               .compiler = compiled.compiler,
                               .registers = compiled.registers,
                               .spill_bytes = compiled.spill_bytes,
                               .stack_bytes = compiled.stack_bytes,
                               .compile_ms = compiled.compile_ms};
  return {metadata, compiled.image};
}

}  // namespace ropejit::internal
