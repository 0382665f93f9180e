#include "service/binary_source.hpp"

#include <chrono>

#include <fmt/format.h>

#include "codegen/generate.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {

std::string key_preimage(const RotationPlan& plan, const Variant& variant, const std::string& generated_text,
                         const Target& target) {
  return fmt::format("ropejit binary 1\nplan {}\nvariant {}\narch {}\nrecipe {}\nsource {}\ntemplates {}\n",
                     plan.hash(), to_string(variant), target.arch(), target.recipe(), blake3_hex(generated_text, 16),
                     templates_digest());
}

BinarySource::BinarySource(const RotationPlan& plan, const Variant& variant, const Target& target,
                           const BinaryStore& store, const std::function<void(std::string_view)>& warn)
    : variant_(variant),
      target_(target),
      store_(store),
      warn_(warn),
      source_(generate(plan, variant)),
      preimage_(key_preimage(plan, variant, source_.text, target)) {}

std::optional<LoadedBinary> BinarySource::load_stored() {
  const auto start = std::chrono::steady_clock::now();
  const ReadResult read = store_.read(preimage_);
  if (!read.entry) {
    if (read.miss.kind != Miss::Kind::absent) {
      warn(fmt::format("the cache entry of {} is not used: {}", source_.entry, read.miss.reason));
    }
    return std::nullopt;
  }
  try {
    LoadedBinary binary = loaded(read.entry->payload, read.entry->metadata.registers, read.entry->metadata.spill_bytes);
    binary.info.cache = CacheRung::disk;
    binary.info.load_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    return binary;
  } catch (const Error& error) {
    refused_ = true;
    warn(fmt::format("the cache entry of {} is not used: {}", source_.entry, error.what()));
    return std::nullopt;
  }
}

CompiledBinary BinarySource::compile() const { return target_.compiler().compile(source_); }

LoadedBinary BinarySource::load_compiled(const CompiledBinary& compiled) const {
  const auto start = std::chrono::steady_clock::now();
  LoadedBinary binary = loaded(compiled.image, compiled.registers, compiled.spill_bytes);
  binary.info.load_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  binary.info.cache = CacheRung::miss;
  binary.info.compile_ms = compiled.compile_ms;
  keep(compiled);
  return binary;
}

void BinarySource::keep(const CompiledBinary& compiled) const {
  if (refused_) return;
  const EntryMetadata metadata{.key_preimage = preimage_,
                               .arch = target_.arch(),
                               .entry = source_.entry,
                               .variant = to_string(variant_),
                               .compiler = compiled.compiler,
                               .registers = compiled.registers,
                               .spill_bytes = compiled.spill_bytes,
                               .stack_bytes = compiled.stack_bytes,
                               .compile_ms = compiled.compile_ms};
  if (const std::string problem = store_.write({metadata, compiled.image}); !problem.empty()) {
    warn(fmt::format("{} is not kept: {}", source_.entry, problem));
  }
}

LoadedBinary BinarySource::loaded(std::string_view image, int registers, int spill_bytes) const {
  LoadedBinary binary;
  binary.kernel = target_.load(image, source_);
  binary.info.variant = to_string(variant_);
  binary.info.entry = source_.entry;
  binary.info.registers = registers;
  binary.info.spill_bytes = spill_bytes;
  return binary;
}

void BinarySource::warn(const std::string& line) const {
  if (warn_) warn_(line);
}

}  // namespace ropejit::internal
