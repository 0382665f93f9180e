#include "codegen/kernel_source.hpp"

#include "codegen/template_folder.hpp"
#include "support/hash.hpp"
#include "support/made_once.hpp"

namespace ropejit::internal {

const char* struct_of(KernelParams params) noexcept {
  constexpr const char* kNames[] = {"LaunchParams", "MoreLaunchParams", "PrologueParams",
                                    "BesideParams", "StatisticParams",  "StageParams",
                                    "GroupParams",  "PageTableParams",  "StoreParams"};
  return kNames[static_cast<int>(params)];
}

std::span<const TextFile> template_files() {
  if (templates_folder().empty()) return embedded_templates();
  // An exception leaves it to be made anew by the next call.
  static constinit MadeOnce<TemplateFolder> folder;
  return folder.get([] { return TemplateFolder(templates_folder(), embedded_templates()); }).files();
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
  static constinit MadeOnce<std::string> digest;
  return digest.get([] {
    return templates_folder().empty() && !embedded_digest().empty() ? std::string(embedded_digest())
                                                                    : digest_of(template_files());
  });
}

}  // namespace ropejit::internal
