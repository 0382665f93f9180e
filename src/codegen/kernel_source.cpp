#include "codegen/kernel_source.hpp"

#include "codegen/template_folder.hpp"
#include "support/hash.hpp"

namespace ropejit::internal {

std::span<const TextFile> template_files() {
  if (templates_folder().empty()) return embedded_templates();
  // An exception leaves it to be made anew by the next call.
  static const TemplateFolder folder(templates_folder(), embedded_templates());
  return folder.files();
}

std::string digest_of(std::span<const TextFile> files) {
  std::string text;
  for (const TextFile& file : files) {
    text += file.name;
    text += '\0';
    text += file.text;
    text += '\0';
  }
  return blake3_hex(text, 16);
}

const std::string& templates_digest() {
  static const std::string digest = templates_folder().empty() && !embedded_digest().empty()
                                        ? std::string(embedded_digest())
                                        : digest_of(template_files());
  return digest;
}

}  // namespace ropejit::internal
