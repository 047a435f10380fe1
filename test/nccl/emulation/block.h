// One block of a running kernel: the rank, the channel and the fibers it works with. Lives on the block's fiber.
#pragma once

#include "emulation/fiber.h"
#include "emulation/function.h"
#include "emulation/layout.h"

#include <vector>

namespace fakecuda {

struct Block {
  Scheduler& scheduler;
  const CommHead* comm;
  Channel channel;
  int channel_id;
};

template <class T>
T Load(const T* pointer) {
  return __atomic_load_n(pointer, __ATOMIC_ACQUIRE);
}

template <class T>
void Store(T* pointer, T value) {
  __atomic_store_n(pointer, value, __ATOMIC_RELEASE);
}

void RunCollective(Block& block, const DeviceFunction& function, const CollectiveWork& work);
void RunP2p(Block& block, const std::vector<P2pWork>& works);

}  // namespace fakecuda
