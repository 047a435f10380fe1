// Moving and reducing blocks of elements: destinations = post(op(pre(source 0), source 1, ...)).
#pragma once

#include <cstddef>
#include <cstdint>

namespace fakecuda {

struct Reduction {
  uint64_t argument;  // of the operator, in NCCL's encoding
  bool pre;           // scale source 0 (its own contribution)
  bool post;          // finish the result (the last rank of a ring)
};

struct Sources {
  const void* pointers[8];
  int count = 0;
  void Add(const void* pointer) { pointers[count++] = pointer; }
};

struct Destinations {
  void* pointers[8];
  int count = 0;
  void Add(void* pointer) { pointers[count++] = pointer; }
};

using ReduceFunction = void (*)(const Destinations&, const Sources&, size_t elements, const Reduction&);

struct Reducer {
  ReduceFunction function;
  size_t element;  // bytes

  // Moves the block, and corrupts it when FAKECUDA_FLIP_BIT says so.
  void Run(const Destinations& destinations, const Sources& sources, size_t elements, const Reduction& how) const;
};

Reducer FindReducer(int type, int op);  // stops the process for types that are not emulated

}  // namespace fakecuda
