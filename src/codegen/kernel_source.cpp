#include "codegen/kernel_source.hpp"

#include "support/hash.hpp"

namespace ropejit::internal {
const std::string& templates_digest() {
  static const std::string digest = [] {
    std::string text;
    for (const TemplateFile& file : template_files()) {
      text += file.name;
      text += '\0';
      text += file.text;
      text += '\0';
    }
    return blake3_hex(text, 16);
  }();
  return digest;
}

}  // namespace ropejit::internal
