// Kernels by name: the descriptor behind a CUfunction, and the launch that puts one on a stream.
#pragma once

#include <cstddef>

namespace fakecuda {

struct Launch {
  const char* kernel;     // symbol name of the host-side function
  unsigned grid;          // blocks
  const void* arguments;  // private copy of the parameter buffer
  size_t arguments_size;
};

// Runs on the thread of the stream; returns when the kernel is done or was aborted. Defined by the emulation.
void RunKernel(const Launch& launch);

}  // namespace fakecuda
