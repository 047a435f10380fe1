// The symbols that NCCL looks for: the tables themselves, one per version of its net plugin interface.
#include "nccl/entries.h"
#include "nccl/net_v10.h"
#include "nccl/net_v11.h"
#include "nccl/net_v12.h"
#include "nccl/net_v6.h"
#include "nccl/net_v7.h"
#include "nccl/net_v8.h"
#include "nccl/net_v9.h"

namespace relay::nccl {
namespace {

// A slot that is left null is not offered: device memory, fused devices, attributes.
template <class Net>
consteval Net Table() {
  Net net{};
  net.name = "Relay";
  net.init = Init;
  net.devices = Devices;
  net.getProperties = GetProperties;
  net.listen = Listen;
  net.connect = Connect;
  net.accept = Accept;
  net.regMr = RegMr;
  net.regMrDmaBuf = RegMrDmaBuf;
  net.deregMr = DeregMr;
  net.isend = Isend;
  net.irecv = Irecv;
  net.iflush = Iflush;
  net.test = Test;
  net.closeSend = CloseSend;
  net.closeRecv = CloseRecv;
  net.closeListen = CloseListen;
  if constexpr (requires { net.finalize; }) net.finalize = Finalize;
  return net;
}

}  // namespace
}  // namespace relay::nccl

extern "C" {
#define RELAY_NET_TABLE(version)                                                                       \
  extern const ncclNet_v##version##_t ncclNetPlugin_v##version __attribute__((visibility("default"))); \
  constinit const ncclNet_v##version##_t ncclNetPlugin_v##version = relay::nccl::Table<ncclNet_v##version##_t>();
RELAY_NET_TABLE(6)
RELAY_NET_TABLE(7)
RELAY_NET_TABLE(8)
RELAY_NET_TABLE(9)
RELAY_NET_TABLE(10)
RELAY_NET_TABLE(11)
RELAY_NET_TABLE(12)
#undef RELAY_NET_TABLE
}
