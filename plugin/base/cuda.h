// The calls of NVIDIA's driver that are used, as a table: from libcuda.so.1, which is loaded at run time, or a test's.
// Only plugin/base speaks to it. Every call keeps its meaning and its thread rules from the driver's manual; 0 is
// success, other numbers are its CUresult.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#include "relay/result.h"

namespace relay {

struct Cuda {
  std::function<int(unsigned flags)> init;
  std::function<int(int* device, int ordinal)> device_get;
  std::function<int(int* value, int attribute, int device)> device_get_attribute;
  std::function<int(void** context, int device)> primary_context_retain;
  std::function<int(int device)> primary_context_release;
  std::function<int(void* context)> context_push;
  std::function<int(void** context)> context_pop;
  std::function<int(uint64_t* address, size_t bytes)> memory_allocate;
  std::function<int(uint64_t address)> memory_free;
  // A descriptor of the range, both ends of which are ends of the host's pages; the caller's.
  std::function<int(void* handle, uint64_t address, size_t bytes, int type, unsigned long long flags)>
      handle_for_address_range;
  std::function<int(int error, const char** text)> error_text;
};

// Loaded once per process and never unloaded. Any thread. The error says what is missing.
Result<const Cuda*> LoadCuda();
// The table of another file. Not kept.
Result<Cuda> LoadCudaFrom(const char* file);

}  // namespace relay
