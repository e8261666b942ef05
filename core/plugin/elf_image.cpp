// The ELF reader behind the plugin note: header, program headers, PT_NOTE, PT_DYNAMIC and the dynamic symbol table.
#include "plugin/elf_image.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.hpp"

namespace tenon {
namespace {

constexpr size_t kMaxSegments = 256, kMaxNotes = 4096, kMaxDynamic = 4096, kMaxNeeded = 256, kMaxName = 4096;

uint64_t align_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

void check_header(const Elf64_Ehdr& h, std::string_view place) {
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0) fail(ErrorCode::bad_plugin, "[{}] not an ELF file", place);
  if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_ident[EI_VERSION] != EV_CURRENT)
    fail(ErrorCode::bad_plugin, "[{}] ELF class {}, data {}, version {}; this host loads class 2, data 1, version 1",
         place, h.e_ident[EI_CLASS], h.e_ident[EI_DATA], h.e_ident[EI_VERSION]);
  if (h.e_machine != EM_X86_64)
    fail(ErrorCode::bad_plugin, "[{}] built for ELF machine {}; this host is machine {} (x86-64)", place, h.e_machine,
         EM_X86_64);
  if (h.e_type != ET_DYN)
    fail(ErrorCode::bad_plugin, "[{}] ELF type {} is no shared library (type {})", place, h.e_type, ET_DYN);
  if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum == 0 || h.e_phnum > kMaxSegments)
    fail(ErrorCode::bad_plugin, "[{}] {} program headers of {} bytes; expected 1 to {} of {}", place, h.e_phnum,
         h.e_phentsize, kMaxSegments, sizeof(Elf64_Phdr));
}

}  // namespace

template <typename T>
T ElfImage::read(uint64_t offset, std::string_view what) const {
  T value;
  std::memcpy(&value, slice(offset, sizeof(T), what).data(), sizeof(T));
  return value;
}

std::span<const std::byte> ElfImage::slice(uint64_t offset, uint64_t size, std::string_view what) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset)
    fail(ErrorCode::bad_plugin, "[{}] {} at byte {} needs {} bytes; the file has {}", place_, what, offset, size,
         bytes_.size());
  return bytes_.subspan(offset, size);
}

ElfImage::ElfImage(std::span<const std::byte> bytes, std::string_view place) : bytes_(bytes), place_(place) {
  const auto header = read<Elf64_Ehdr>(0, "ELF header");
  check_header(header, place_);
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    if (header.e_phoff > bytes_.size()) slice(header.e_phoff, sizeof(Elf64_Phdr), "program header table");
    const auto segment = read<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr), "program header");
    if (segment.p_type == PT_NULL) continue;
    slice(segment.p_offset, segment.p_filesz, "segment");
    segments_.push_back(segment);
  }
  // A copy in progress often lacks only its tail, which holds the section headers.
  if (header.e_shoff != 0) slice(header.e_shoff, uint64_t{header.e_shnum} * header.e_shentsize, "section header table");
  read_dynamic();
}

std::span<const std::byte> ElfImage::note(std::string_view owner, uint32_t type) const {
  std::optional<std::span<const std::byte>> found;
  size_t seen = 0;
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_NOTE) continue;
    const uint64_t align = segment.p_align == 8 ? 8 : 4;
    const uint64_t end = segment.p_offset + segment.p_filesz;
    for (uint64_t at = segment.p_offset; at + sizeof(Elf64_Nhdr) <= end;) {
      if (++seen > kMaxNotes) fail(ErrorCode::bad_plugin, "[{}] more than {} notes", place_, kMaxNotes);
      const auto head = read<Elf64_Nhdr>(at, "note header");
      const uint64_t desc_at = at + align_up(sizeof(head) + uint64_t{head.n_namesz}, align);
      if (desc_at + head.n_descsz > end)
        fail(ErrorCode::bad_plugin, "[{}] note at byte {} ends at {}; its segment ends at {}", place_, at,
             desc_at + head.n_descsz, end);
      const auto name = slice(at + sizeof(head), head.n_namesz, "note owner");
      at = align_up(desc_at + head.n_descsz, align);
      const bool same = name.size() == owner.size() + 1 && name.back() == std::byte{0} &&
                        std::memcmp(name.data(), owner.data(), owner.size()) == 0;
      if (!same || head.n_type != type) continue;
      if (found) fail(ErrorCode::bad_plugin, "[{}] two notes of owner {} and type {}", place_, owner, type);
      found = slice(desc_at, head.n_descsz, "note");
    }
  }
  if (!found) fail(ErrorCode::bad_plugin, "[{}] no note of owner {} and type {}", place_, owner, type);
  return *found;
}

uint64_t ElfImage::file_offset(uint64_t address, std::string_view what) const {
  for (const Elf64_Phdr& s : segments_)
    if (s.p_type == PT_LOAD && address >= s.p_vaddr && address - s.p_vaddr < s.p_filesz)
      return s.p_offset + (address - s.p_vaddr);
  fail(ErrorCode::bad_plugin, "[{}] {} at address {:#x} lies in no loaded segment", place_, what, address);
}

void ElfImage::read_dynamic() {
  const auto segment =
      std::find_if(segments_.begin(), segments_.end(), [](const Elf64_Phdr& s) { return s.p_type == PT_DYNAMIC; });
  if (segment == segments_.end()) fail(ErrorCode::bad_plugin, "[{}] no dynamic segment", place_);
  const uint64_t count = segment->p_filesz / sizeof(Elf64_Dyn);
  if (count > kMaxDynamic) fail(ErrorCode::bad_plugin, "[{}] {} dynamic entries exceed {}", place_, count, kMaxDynamic);
  for (uint64_t i = 0; i < count; ++i) {
    const auto entry = read<Elf64_Dyn>(segment->p_offset + i * sizeof(Elf64_Dyn), "dynamic entry");
    if (entry.d_tag == DT_NULL) break;
    const uint64_t value = entry.d_un.d_val;
    if (entry.d_tag == DT_STRTAB) dynamic_.strtab = file_offset(value, "string table");
    if (entry.d_tag == DT_STRSZ) dynamic_.strsz = value;
    if (entry.d_tag == DT_SYMTAB) dynamic_.symtab = file_offset(value, "symbol table");
    if (entry.d_tag == DT_GNU_HASH) dynamic_.gnu_hash = file_offset(value, "GNU hash table");
    if (entry.d_tag == DT_HASH) dynamic_.hash = file_offset(value, "hash table");
    // Filters name libraries that are loaded as well.
    if (entry.d_tag == DT_NEEDED || entry.d_tag == DT_FILTER || entry.d_tag == DT_AUXILIARY)
      dynamic_.needed.push_back(value);
  }
  if (dynamic_.needed.size() > kMaxNeeded)
    fail(ErrorCode::bad_plugin, "[{}] {} needed libraries exceed {}", place_, dynamic_.needed.size(), kMaxNeeded);
}

std::string_view ElfImage::string_at(uint64_t index) const {
  if (dynamic_.strtab == 0 || index >= dynamic_.strsz)
    fail(ErrorCode::bad_plugin, "[{}] string {} lies outside the string table of {} bytes", place_, index,
         dynamic_.strsz);
  const auto table = slice(dynamic_.strtab, dynamic_.strsz, "string table");
  const char* begin = reinterpret_cast<const char*>(table.data()) + index;
  const size_t limit = std::min<size_t>(table.size() - index, kMaxName);
  const void* end = std::memchr(begin, 0, limit);
  if (!end) fail(ErrorCode::bad_plugin, "[{}] string {} does not end within {} bytes", place_, index, limit);
  return {begin, static_cast<size_t>(static_cast<const char*>(end) - begin)};
}

std::vector<std::string_view> ElfImage::needed() const {
  std::vector<std::string_view> names;
  for (uint64_t index : dynamic_.needed) names.push_back(string_at(index));
  return names;
}

uint64_t ElfImage::gnu_hash_end(uint64_t* first) const {
  const uint64_t at = dynamic_.gnu_hash;
  const auto n_buckets = read<uint32_t>(at, "GNU hash table");
  const auto first_symbol = read<uint32_t>(at + 4, "GNU hash table");
  const auto n_bloom = read<uint32_t>(at + 8, "GNU hash table");
  const uint64_t buckets = at + 16 + uint64_t{n_bloom} * 8;
  const auto table = slice(buckets, uint64_t{n_buckets} * 4, "GNU hash buckets");
  uint32_t last = 0;
  for (size_t i = 0; i < n_buckets; ++i) {
    uint32_t bucket = 0;
    std::memcpy(&bucket, table.data() + i * 4, 4);
    last = std::max(last, bucket);
  }
  *first = first_symbol;
  if (last < first_symbol) return first_symbol;
  // Only the chain of the highest bucket reaches the end of the table; its last entry has bit 0 set.
  const uint64_t chains = buckets + uint64_t{n_buckets} * 4;
  uint64_t symbol = last;
  while ((read<uint32_t>(chains + (symbol - first_symbol) * 4, "GNU hash chain") & 1u) == 0) ++symbol;
  return symbol + 1;
}

uint64_t ElfImage::symbol_end(uint64_t* first) const {
  if (dynamic_.gnu_hash != 0) return gnu_hash_end(first);
  if (dynamic_.hash == 0) fail(ErrorCode::bad_plugin, "[{}] no symbol hash table", place_);
  *first = 1;
  return read<uint32_t>(dynamic_.hash + 4, "hash table");
}

std::vector<ElfSymbol> ElfImage::exports(size_t limit) const {
  std::vector<ElfSymbol> symbols;
  uint64_t first = 0;
  const uint64_t end = symbol_end(&first);
  for (uint64_t i = first; i < end && symbols.size() < limit; ++i) {
    const auto symbol = read<Elf64_Sym>(dynamic_.symtab + i * sizeof(Elf64_Sym), "symbol");
    const auto visibility = ELF64_ST_VISIBILITY(symbol.st_other);
    const bool defined = symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS;
    const bool visible = visibility == STV_DEFAULT || visibility == STV_PROTECTED;
    if (defined && visible && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL)
      symbols.push_back({string_at(symbol.st_name), static_cast<uint8_t>(ELF64_ST_TYPE(symbol.st_info))});
  }
  return symbols;
}

}  // namespace tenon
