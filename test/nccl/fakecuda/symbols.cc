#include "fakecuda/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fakecuda {

bool SymbolTable::Load(const std::string& path, uintptr_t load_base, std::string& error) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status)) {
    error = "cannot open " + path + ": " + strerror(errno);
    if (fd >= 0) close(fd);
    return false;
  }
  auto size = static_cast<size_t>(status.st_size);
  void* file = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (file == MAP_FAILED) {
    error = "cannot map " + path + ": " + strerror(errno);
    return false;
  }
  Read(static_cast<const char*>(file), load_base);
  munmap(file, size);
  if (symbols_.empty()) {
    error = path +
            " is stripped (no .symtab), so the CUDA runtime inside it cannot be found. Use the library of the "
            "nvidia-nccl wheel that test/nccl/fetch.sh obtains.";
    return false;
  }
  for (size_t i = 0; i < symbols_.size(); i++) by_name_.emplace(symbols_[i].name, i);
  return true;
}

// The dynamic loader has accepted this file already, so its headers are believed.
void SymbolTable::Read(const char* file, uintptr_t load_base) {
  auto* header = reinterpret_cast<const Elf64_Ehdr*>(file);
  auto* sections = reinterpret_cast<const Elf64_Shdr*>(file + header->e_shoff);
  for (int i = 0; i < header->e_shnum; i++) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    auto* entries = reinterpret_cast<const Elf64_Sym*>(file + sections[i].sh_offset);
    const char* names = file + sections[sections[i].sh_link].sh_offset;
    for (size_t k = 0; k < sections[i].sh_size / sizeof *entries; k++) {
      auto type = ELF64_ST_TYPE(entries[k].st_info);
      if ((type != STT_FUNC && type != STT_OBJECT) || entries[k].st_shndx == SHN_UNDEF) continue;
      symbols_.push_back(
          {names + entries[k].st_name, load_base + entries[k].st_value, entries[k].st_size, type == STT_FUNC});
    }
  }
}

const Symbol* SymbolTable::Find(std::string_view name) const {
  auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &symbols_[found->second];
}

std::string SymbolTable::NameOf(const void* function) const {
  for (const Symbol& symbol : symbols_) {
    // A ".cold" part may share the address of the function it was split from.
    if (symbol.address == reinterpret_cast<uintptr_t>(function) && symbol.is_function &&
        symbol.name.find(".cold") == std::string::npos)
      return symbol.name;
  }
  return "?";
}

SymbolTable& NcclSymbols() {
  static SymbolTable& table = *new SymbolTable;
  return table;
}

int NcclVersion() {
  static const int version = [] {
    int value = 0;
    if (const Symbol* symbol = NcclSymbols().Find("ncclGetVersion"))
      reinterpret_cast<int (*)(int*)>(symbol->address)(&value);
    return value;
  }();
  return version;
}

}  // namespace fakecuda
