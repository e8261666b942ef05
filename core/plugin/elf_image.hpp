// A bounded, read-only view of an x86-64 ELF shared library, over bytes in memory. Written from the System V gABI and
// the GNU hash section's layout. It follows program headers only, as the dynamic loader does: section headers may lie.
// Runs no code and maps nothing; every offset is checked, every loop ends within a fixed number of steps.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

struct ElfSymbol {
  std::string_view name;
  uint8_t type = 0;  // STT_*
};

class ElfImage {
 public:
  /// Checks header and program headers; Error{bad_plugin} naming `place` otherwise. `bytes` must outlive the image.
  ElfImage(std::span<const std::byte> bytes, std::string_view place);

  /// The payload of the only note with this owner and type; Error{bad_plugin} when there is none, or two.
  std::span<const std::byte> note(std::string_view owner, uint32_t type) const;
  /// Libraries that loading this one would load too.
  std::vector<std::string_view> needed() const;
  /// Symbols that others could bind to, at most `limit` of them.
  std::vector<ElfSymbol> exports(size_t limit) const;

 private:
  struct Dynamic {
    uint64_t strtab = 0, strsz = 0, symtab = 0, gnu_hash = 0, hash = 0;  // strtab..hash: file offsets; 0 when absent
    std::vector<uint64_t> needed;                                        // offsets into the string table
  };

  template <typename T>
  T read(uint64_t offset, std::string_view what) const;
  std::span<const std::byte> slice(uint64_t offset, uint64_t size, std::string_view what) const;
  uint64_t file_offset(uint64_t address, std::string_view what) const;
  std::string_view string_at(uint64_t index) const;
  void read_dynamic();
  uint64_t symbol_end(uint64_t* first) const;
  uint64_t gnu_hash_end(uint64_t* first) const;

  std::span<const std::byte> bytes_;
  std::string place_;
  std::vector<Elf64_Phdr> segments_;
  Dynamic dynamic_;
};

}  // namespace tenon
