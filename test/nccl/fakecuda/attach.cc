// Attachment: before main(), the first bytes of every CUDA runtime function that is linked statically into libnccl.so
// become a jump to the function of the same name in this library. Only this process's memory is changed. Functions of
// the runtime that the shim does not have lead to a stub that stops the process with their name, so nothing reaches the
// real runtime.
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>

#include "fakecuda/api.h"
#include "fakecuda/log.h"
#include "fakecuda/symbols.h"

namespace fakecuda {
namespace {

#if !defined(__x86_64__)
#error "the jumps written here are x86-64 code"
#endif

constexpr size_t kJumpSize = 14;  // jmp *[rip+0]; .quad target
constexpr size_t kStubSize = 32;
constexpr size_t kStubSpace = 1 << 16;

extern "C" void fakecuda_missing(const char* name) { Die("CUDA runtime call %s is not emulated", name); }

void WriteCode(uintptr_t at, const void* code, size_t size) {
  auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t low = at / page * page;
  uintptr_t high = (at + size + page - 1) / page * page;
  auto* start = reinterpret_cast<void*>(low);
  if (mprotect(start, high - low, PROT_READ | PROT_WRITE | PROT_EXEC))
    Die("cannot make libnccl's code writable: %s", strerror(errno));
  memcpy(reinterpret_cast<void*>(at), code, size);
  mprotect(start, high - low, PROT_READ | PROT_EXEC);
}

void WriteJump(uintptr_t at, const void* target) {
  unsigned char code[kJumpSize] = {0xff, 0x25, 0, 0, 0, 0};
  memcpy(code + 6, &target, sizeof target);
  WriteCode(at, code, sizeof code);
}

// mov rdi, name; mov rax, fakecuda_missing; jmp rax
void* MakeStub(const char* name) {
  static unsigned char* const space = static_cast<unsigned char*>(
      mmap(nullptr, kStubSpace, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  static size_t used = 0;
  if (space == MAP_FAILED || used + kStubSize > kStubSpace) Die("no space for the stubs of missing functions");
  unsigned char* stub = space + used;
  used += kStubSize;
  auto* target = reinterpret_cast<void*>(&fakecuda_missing);
  const unsigned char mov_rdi[] = {0x48, 0xbf}, mov_rax[] = {0x48, 0xb8}, jmp_rax[] = {0xff, 0xe0};
  memcpy(stub, mov_rdi, 2);
  memcpy(stub + 2, &name, 8);
  memcpy(stub + 10, mov_rax, 2);
  memcpy(stub + 12, &target, 8);
  memcpy(stub + 20, jmp_rax, 2);
  return stub;
}

// The shim's own function of that name; dlsym() alone would also look into the libraries this one needs.
void* OwnFunction(const char* name) {
  static const std::map<std::string, const char*> kSpellings = {
      {"cudaGetDeviceProperties_v2", "cudaGetDeviceProperties"},
      {"cudaStreamGetCaptureInfo_v2", "cudaStreamGetCaptureInfo"},
      {"cudaStreamGetCaptureInfo_v3", "cudaStreamGetCaptureInfo"},
  };
  Dl_info self, found;
  dladdr(reinterpret_cast<void*>(&fakecuda_missing), &self);
  static void* const handle = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  auto spelling = kSpellings.find(name);
  void* function = dlsym(handle, spelling == kSpellings.end() ? name : spelling->second);
  if (!function || !dladdr(function, &found) || found.dli_fbase != self.dli_fbase) return nullptr;
  return function;
}

bool IsRuntimeFunction(const Symbol& symbol) {
  const std::string& name = symbol.name;
  if (!symbol.is_function || name.find('.') != std::string::npos) return false;
  if (name == "__cudaUnregisterFatBinary" || name == "__cudaLaunchKernel") return true;
  return name.size() > 4 && name.compare(0, 4, "cuda") == 0 && isupper(static_cast<unsigned char>(name[4]));
}

struct Library {
  std::string path;
  uintptr_t base = 0;
};

int TakeNccl(dl_phdr_info* info, size_t, void* out) {
  if (!info->dlpi_name || !strstr(info->dlpi_name, "libnccl.so")) return 0;
  *static_cast<Library*>(out) = {info->dlpi_name, info->dlpi_addr};
  return 1;
}

struct Redirection {
  const Symbol* symbol = nullptr;
  void* target = nullptr;
};

// State of the library is function-local everywhere, so that this may run before its constructors of static objects.
__attribute__((constructor)) void Attach() {
  Library nccl;
  dl_iterate_phdr(TakeNccl, &nccl);
  if (nccl.path.empty()) {
    Log(1, "libnccl.so is not loaded, nothing to attach to");
    return;
  }
  std::string error;
  if (!NcclSymbols().Load(nccl.path, nccl.base, error)) Die("%s", error.c_str());

  std::map<uintptr_t, Redirection> redirections;  // several names may share one address
  for (const Symbol& symbol : NcclSymbols().symbols()) {
    if (!IsRuntimeFunction(symbol)) continue;
    void* target = OwnFunction(symbol.name.c_str());
    Redirection& redirection = redirections[symbol.address];
    if (!redirection.symbol || (target && !redirection.target)) redirection = {&symbol, target};
  }
  if (redirections.empty()) Die("%s contains no CUDA runtime: is it linked with a shared one?", nccl.path.c_str());
  int redirected = 0, trapped = 0;
  for (const auto& [address, redirection] : redirections) {
    if (redirection.symbol->size < kJumpSize) {  // aliases and tail jumps only; NCCL calls none of them
      Log(1, "%s has only %zu bytes, left alone", redirection.symbol->name.c_str(), redirection.symbol->size);
      continue;
    }
    redirection.target ? redirected++ : trapped++;
    WriteJump(address, redirection.target ? redirection.target : MakeStub(redirection.symbol->name.c_str()));
  }
  Log(1, "%s: %d runtime functions redirected, %d trapped", nccl.path.c_str(), redirected, trapped);
}

}  // namespace
}  // namespace fakecuda

// libnccl's kernels were registered with its own runtime before the attachment; at exit there is nothing to undo.
FAKECUDA_API void __cudaUnregisterFatBinary(void**) {}
