#include "support/machine_code.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <utility>

#include "support/hash.hpp"

namespace ropejit::test {
namespace {

// The parts of ELF's headers (System V ABI, 64 bits) that are read here.
struct FileHeader {
  unsigned char ident[16];
  std::uint16_t type, machine;
  std::uint32_t version;
  std::uint64_t entry, program_headers, section_headers;
  std::uint32_t flags;
  std::uint16_t header_size, program_header_size, program_headers_count, section_header_size, section_count,
      names_section;
};
struct SectionHeader {
  std::uint32_t name, type;
  std::uint64_t flags, address, offset, size;
  std::uint32_t link, info;
  std::uint64_t alignment, entry_size;
};
struct Symbol {
  std::uint32_t name;
  std::uint8_t info, other;
  std::uint16_t section;
  std::uint64_t value, size;
};
struct Relocation {
  std::uint64_t offset, info;
};
constexpr std::uint32_t kNoBits = 8;  // SHT_NOBITS: shared memory, of which only the size is in the file

template <class T>
T read_at(std::string_view image, std::uint64_t offset) {
  T value;
  if (offset > image.size() || image.size() - offset < sizeof value) throw std::runtime_error("cubin: cut off");
  std::memcpy(&value, image.data() + offset, sizeof value);
  return value;
}

std::string_view bytes_of(std::string_view image, std::uint64_t offset, std::uint64_t size) {
  if (offset > image.size() || image.size() - offset < size) throw std::runtime_error("cubin: cut off");
  return image.substr(offset, size);
}

// Read whole. Data is told by its symbols instead: beside what kernels read, the compiler keeps the constants that
// templates were made with.
bool is_read_by_a_gpu(std::string_view name) {
  for (const std::string_view start : {".text", ".nv.constant", ".nv.shared", ".nv.info", ".rel.text", ".rela.text"}) {
    if (name.substr(0, start.size()) == start) return name != ".nv.constant4";  // addresses of data
  }
  return false;
}

// What generated source has as data: steps, and the axes of pairs. Empty: something else.
std::string_view data_name(std::string_view symbol) {
  for (const std::string_view name : {"rope_steps", "pair_axes"}) {
    if (symbol.find(name) != std::string_view::npos && symbol.find("config") == std::string_view::npos) return name;
  }
  return {};
}

std::string_view text_at(std::string_view names, std::uint32_t offset) {
  const std::string_view rest = names.substr(offset);
  return rest.substr(0, rest.find('\0'));
}

}  // namespace

std::string machine_code_digest(std::string_view cubin, std::string_view entry) {
  if (cubin.substr(0, 5) !=
      "\x7f"
      "ELF\x02")
    throw std::runtime_error("cubin: no ELF image of 64 bits");
  const auto file = read_at<FileHeader>(cubin, 0);
  const auto header = [&](unsigned index) {
    return read_at<SectionHeader>(cubin, file.section_headers + std::uint64_t{index} * file.section_header_size);
  };
  const auto contents = [&](const SectionHeader& section) {
    return section.type == kNoBits ? std::string_view() : bytes_of(cubin, section.offset, section.size);
  };
  const std::string_view section_names = contents(header(file.names_section));
  const auto named = [&](std::string_view name) -> SectionHeader {
    for (unsigned i = 0; i < file.section_count; ++i) {
      if (text_at(section_names, header(i).name) == name) return header(i);
    }
    return {};
  };
  std::map<std::string, std::string> parts;  // the order of sections in the file says nothing
  bool has_code = false;
  for (unsigned i = 0; i < file.section_count; ++i) {
    const SectionHeader section = header(i);
    std::string name(text_at(section_names, section.name));
    if (!is_read_by_a_gpu(name)) continue;
    has_code = has_code || name == fmt::format(".text.{}", entry);
    if (const std::size_t at = name.find(entry); at != std::string::npos) name.replace(at, entry.size(), "KERNEL");
    // Registers stand in the top byte of a code section's sh_info, barriers in its flags.
    parts[name] +=
        fmt::format("{} {} {} {:x} {:x}\n", name, section.type, section.size, section.flags, section.info >> 24);
    parts[name].append(contents(section));
  }
  const std::string_view symbols = contents(named(".symtab"));
  const std::string_view symbol_names = contents(named(".strtab"));
  for (std::uint64_t at = 0; at + sizeof(Symbol) <= symbols.size(); at += sizeof(Symbol)) {
    const auto symbol = read_at<Symbol>(symbols, at);
    const std::string_view data = data_name(text_at(symbol_names, symbol.name));
    if (data.empty() || symbol.size == 0 || symbol.section >= file.section_count) continue;
    const SectionHeader section = header(symbol.section);
    std::string& part = parts[std::string(data)];
    if (section.type == kNoBits) {
      part.append(symbol.size, '\0');
    } else {
      part.append(bytes_of(contents(section), symbol.value, symbol.size));
    }
  }
  // With addends, or without: the architectures differ.
  for (const auto& [section, size] : {std::pair{".rela.nv.constant4", 24}, std::pair{".rel.nv.constant4", 16}}) {
    const std::string_view relocations = contents(named(section));
    for (std::uint64_t at = 0; at < relocations.size(); at += static_cast<std::uint64_t>(size)) {
      const auto relocation = read_at<Relocation>(relocations, at);
      const auto symbol = read_at<Symbol>(symbols, (relocation.info >> 32) * sizeof(Symbol));
      const std::string_view data = data_name(text_at(symbol_names, symbol.name));
      if (!data.empty()) parts[fmt::format("address of {}", data)] = fmt::format("{:x}", relocation.offset);
    }
  }
  if (!has_code) throw std::runtime_error(fmt::format("cubin: no code of {}", entry));
  std::string all;
  for (const auto& [name, part] : parts) all += part;
  return internal::blake3_hex(all, 16);
}

}  // namespace ropejit::test
