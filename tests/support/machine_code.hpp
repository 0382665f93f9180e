// What a GPU runs of a cubin, as one digest: to tell that a change of templates or of the generator changed no kernel.
#pragma once

#include <string>
#include <string_view>

namespace ropejit::test {

/// 32 hex digits over the machine code, the constants and data, and the launch information (registers, parameters,
/// bounds) of the kernel `entry` of a cubin. The kernel's name is left out, and so is what no GPU reads: notes,
/// debugging sections, and the constants that templates were made with, which the compiler keeps as data. Throws
/// std::runtime_error where `cubin` is no ELF image of 64 bits, or holds no code of that name.
std::string machine_code_digest(std::string_view cubin, std::string_view entry);

}  // namespace ropejit::test
