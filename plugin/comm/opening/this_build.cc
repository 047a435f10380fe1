#include "comm/opening/this_build.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

namespace relay::comm {
namespace {

constexpr size_t kIdBytes = 8;  // of the build id: enough to tell two apart

std::string RealPath(const char* name) {
  char* real = realpath(name, nullptr);
  std::string path = real != nullptr ? real : name;
  free(real);
  return path;
}

std::string Hex(const unsigned char* bytes, size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

size_t Padded(size_t size) { return (size + 3) & ~size_t{3}; }

// The linker's note of type NT_GNU_BUILD_ID within a segment of notes.
std::string IdInNotes(const char* at, const char* end) {
  while (at + sizeof(ElfW(Nhdr)) <= end) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const char* name = at + sizeof note;
    const char* content = name + Padded(note.n_namesz);
    if (content + note.n_descsz > end) return "";
    const bool gnu = note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0;
    if (gnu && note.n_type == NT_GNU_BUILD_ID && note.n_descsz >= kIdBytes) {
      return Hex(reinterpret_cast<const unsigned char*>(content), kIdBytes);
    }
    at = content + Padded(note.n_descsz);
  }
  return "";
}

struct OwnObject {
  ElfW(Addr) inside;  // some address of it
  std::string id;
};

int FindOwnId(dl_phdr_info* info, size_t, void* data) {
  auto& own = *static_cast<OwnObject*>(data);
  bool mine = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    const ElfW(Addr) start = info->dlpi_addr + header.p_vaddr;
    mine = mine || (header.p_type == PT_LOAD && own.inside >= start && own.inside < start + header.p_memsz);
  }
  if (!mine) return 0;
  for (int i = 0; i < info->dlpi_phnum && own.id.empty(); ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const char* start = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
    own.id = IdInNotes(start, start + header.p_memsz);
  }
  return 1;
}

ThisBuild Find() {
  ThisBuild out{RELAY_VERSION, {}};
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&TheBuild), &info) != 0 && info.dli_fname != nullptr) {
    out.file = RealPath(info.dli_fname);
  }
  OwnObject own{reinterpret_cast<ElfW(Addr)>(&TheBuild), {}};
  dl_iterate_phdr(FindOwnId, &own);
  if (!own.id.empty()) out.build += "-" + own.id;
  return out;
}

// Kind of library -> the files that are loaded of it.
using Loaded = std::map<std::string, std::set<std::string>>;

int Collect(dl_phdr_info* info, size_t, void* data) {
  if (info->dlpi_name == nullptr || *info->dlpi_name == '\0') return 0;
  const char* slash = std::strrchr(info->dlpi_name, '/');
  const std::string base = slash == nullptr ? info->dlpi_name : slash + 1;
  for (const char* kind : {"libnccl.so", "librccl.so", "libnccl-net-relay.so", "librccl-net-relay.so"}) {
    if (base.rfind(kind, 0) != 0) continue;
    // The plugin has two names, and is one.
    const bool plugin = std::strstr(kind, "net-relay") != nullptr;
    (*static_cast<Loaded*>(data))[plugin ? "libnccl-net-relay.so" : kind].insert(RealPath(info->dlpi_name));
  }
  return 0;
}

}  // namespace

const ThisBuild& TheBuild() {
  // Leaked on purpose: NCCL's threads may still ask while the process exits.
  static const ThisBuild* const build = new ThisBuild(Find());
  return *build;
}

std::vector<std::string> DoubleLibraries() {
  Loaded loaded;
  dl_iterate_phdr(Collect, &loaded);
  std::vector<std::string> out;
  for (const auto& [kind, files] : loaded) {
    if (files.size() < 2) continue;
    std::string names;
    for (const std::string& file : files) names += (names.empty() ? "" : " and ") + file;
    out.push_back("this process has loaded " + kind + " from " + std::to_string(files.size()) + " files, " + names +
                  ": keep one of them (LD_LIBRARY_PATH, LD_PRELOAD, NCCL_NET_PLUGIN and Python packages decide)");
  }
  return out;
}

std::string BuildDiffers(const std::string& own_node, const ThisBuild& own, const Peer& peer) {
  // An agent or peer of before this comparison says nothing.
  if (peer.build.empty() || peer.build == own.build) return "";
  return "the ranks run different builds of the plugin: " + own_node + " has " + own.build + " (" + own.file + "), " +
         peer.node + " has " + peer.build + " (" + peer.file + "): install the same file on all nodes";
}

}  // namespace relay::comm
