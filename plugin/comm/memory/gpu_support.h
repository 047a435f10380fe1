// What kinds of GPU memory the devices of this node take: what NCCL must know before it decides where its buffers are.
#pragma once
#include <span>
#include <string>

#include "relay/control.h"

namespace relay::transport::rdma {
struct Verbs;
}

namespace relay::comm {

// A connection may leave by any device of the node, so that a kind counts only where all of them take it.
struct GpuSupport {
  bool peermem = false;  // as plain pointers: the module nvidia-peermem (or its forerunner nv_peer_mem) is loaded
  bool dma_buf = false;  // by descriptor
  bool any() const { return peermem || dma_buf; }
};

// `root` has the place of "/", for tests.
bool PeermemLoaded(const std::string& root = "");
// Opens each device once to ask it. One that cannot be opened takes nothing. `verbs` null: libibverbs.
GpuSupport FindGpuSupport(std::span<const control::VerbsDevice> devices, const std::string& root = "",
                          const transport::rdma::Verbs* verbs = nullptr);

}  // namespace relay::comm
