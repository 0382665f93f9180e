// Generated source: what a compiler gets.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ropejit::internal {

/// The name of the steps that are built into a binary; those of variants with buffered steps have none.
inline constexpr const char* kStepsSymbol = "rope_steps";

/// Which parameters a kernel takes (launch_params.cuh). Each has the ones before it at its beginning.
enum class KernelParams {
  rope,        ///< LaunchParams
  more,        ///< MoreLaunchParams, of more than two operands
  prologue,    ///< PrologueParams, of operands with a norm or with slots
  beside,      ///< BesideParams, of an operand that is written to a tensor beside its cache
  statistic,   ///< StatisticParams, of a norm whose statistic is read from memory or written there
  stage,       ///< StageParams, of stages that read numbers beside the lanes
  group,       ///< GroupParams, of a first operand whose heads lie in groups
  page_table,  ///< PageTableParams, of an operand that goes where a page table says
  store,       ///< StoreParams, of two operands that are written beside their caches, or of lanes in groups
};
const char* struct_of(KernelParams params) noexcept;  ///< its name in launch_params.cuh

struct KernelSource {
  std::string entry;       ///< name of the extern "C" kernel; says class and variant; also the name a profiler shows
  std::string text;        ///< a few lines over the templates
  bool has_steps = false;  ///< steps are built into the binary, as kStepsSymbol
  KernelParams params = KernelParams::rope;  ///< what it takes by value
};

/// A device header as it is included: {"flat.cuh", text}.
struct TextFile {
  std::string_view name;
  std::string_view text;
};

/// The files of templates/, embedded when the library was built.
std::span<const TextFile> embedded_templates();

/// The device headers that sources are compiled with: those embedded, or where ROPEJIT_TEMPLATES names a folder its
/// files (codegen/template_folder.hpp), read at the first call and kept as long as the process lives. Each text ends
/// with a NUL. Thread-safe. Throws Error{invalid_argument} where the folder is not fit.
std::span<const TextFile> template_files();

/// A digest of names and texts: 32 hex digits.
std::string digest_of(std::span<const TextFile> files);

/// The digest of embedded_templates(), worked out when the library was built: to work it out takes a tenth of the time
/// of a first launch. Empty in the program that the build runs to work it out.
std::string_view embedded_digest();

/// 32 hex digits over the names and texts of template_files, whose error it throws. With a hash of the generated text,
/// which the generator decides, it makes a binary's key complete.
const std::string& templates_digest();

}  // namespace ropejit::internal
