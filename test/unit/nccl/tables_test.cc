// Every table that NCCL may take, as NCCL reads it.
#include <gtest/gtest.h>

#include <cstring>

#include "comm/device.h"
#include "nccl/net_v10.h"
#include "nccl/net_v11.h"
#include "nccl/net_v12.h"
#include "nccl/net_v6.h"
#include "nccl/net_v7.h"
#include "nccl/net_v8.h"
#include "nccl/net_v9.h"

extern "C" {
extern const ncclNet_v6_t ncclNetPlugin_v6;
extern const ncclNet_v7_t ncclNetPlugin_v7;
extern const ncclNet_v8_t ncclNetPlugin_v8;
extern const ncclNet_v9_t ncclNetPlugin_v9;
extern const ncclNet_v10_t ncclNetPlugin_v10;
extern const ncclNet_v11_t ncclNetPlugin_v11;
extern const ncclNet_v12_t ncclNetPlugin_v12;
}

namespace relay::nccl::tables {
namespace {

template <class Table>
struct PropertiesOf;
template <class P>
struct PropertiesOf<ncclResult_t (*)(int, P*)> {
  using Type = P;
};

template <class Function>
void WithEveryTable(Function&& function) {
  function(ncclNetPlugin_v6, 6);
  function(ncclNetPlugin_v7, 7);
  function(ncclNetPlugin_v8, 8);
  function(ncclNetPlugin_v9, 9);
  function(ncclNetPlugin_v10, 10);
  function(ncclNetPlugin_v11, 11);
  function(ncclNetPlugin_v12, 12);
}

TEST(NcclTables, EveryTableTakesGpuMemoryByDescriptorAndFlushesIt) {
  WithEveryTable([](const auto& table, int version) {
    EXPECT_NE(table.regMrDmaBuf, nullptr) << version;
    EXPECT_NE(table.iflush, nullptr) << version << ": NCCL calls it where GPU memory is offered";
  });
}

TEST(NcclTables, EveryTableOffersTheKindsOfMemoryThatDevicesTakeNow) {
  control::Welcome welcome;
  welcome.devices = {{"relay0", "", 100000}, {"relay1", "", 100000}};
  for (const bool peermem : {false, true}) {
    for (const bool dma_buf : {true, false}) {
      comm::PublishDevices(welcome, {.peermem = peermem, .dma_buf = dma_buf});
      const int kinds = NCCL_PTR_HOST | (peermem ? NCCL_PTR_CUDA : 0) | (dma_buf ? NCCL_PTR_DMABUF : 0);
      WithEveryTable([&](const auto& table, int version) {
        for (int device : {0, 1}) {
          typename PropertiesOf<decltype(table.getProperties)>::Type properties;
          std::memset(&properties, 0xa5, sizeof properties);
          ASSERT_EQ(table.getProperties(device, &properties), ncclSuccess);
          EXPECT_EQ(properties.ptrSupport, kinds) << version;
          // NCCL's own rule decides whether a flush is needed, and a registration is of one connection.
          if constexpr (requires { properties.forceFlush; }) {
            EXPECT_EQ(properties.forceFlush, 0) << version;
          }
          if constexpr (requires { properties.regIsGlobal; }) {
            EXPECT_EQ(properties.regIsGlobal, 0) << version;
          }
        }
      });
    }
  }
}

}  // namespace
}  // namespace relay::nccl::tables
