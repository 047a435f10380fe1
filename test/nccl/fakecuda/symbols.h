// The symbols of the loaded libnccl.so, local ones included, read from the .symtab of its file.
// Filled once by the attachment before main(); read-only from then on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fakecuda {

struct Symbol {
  std::string name;
  uintptr_t address;
  size_t size;
  bool is_function;
};

class SymbolTable {
 public:
  // False with a sentence in `error`: the file cannot be read or is stripped.
  bool Load(const std::string& path, uintptr_t load_base, std::string& error);

  const std::vector<Symbol>& symbols() const { return symbols_; }
  const Symbol* Find(std::string_view name) const;
  std::string NameOf(const void* function) const;  // "?" when no symbol starts there

 private:
  void Read(const char* file, uintptr_t load_base);

  std::vector<Symbol> symbols_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

SymbolTable& NcclSymbols();
int NcclVersion();  // as ncclGetVersion() says: 22809 for 2.28.9

}  // namespace fakecuda
