// The adapters: what arrives in a table of each version. And what a caller notices about a careless plugin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nccl/net_v10.h"
#include "nccl/net_v12.h"
#include "nccl/net_v6.h"
#include "nccl/net_v8.h"
#include "nccl/net_v9.h"
#include "perf/net.h"

namespace relay::perf {
namespace {

using ::testing::HasSubstr;

struct Seen {
  void* context = nullptr;
  size_t size = 0;
  int tag = 0, buffers = 0, traffic_class = 0;
  void *data = nullptr, *mhandle = nullptr, *before = nullptr;
  bool device_handle = false;
};
Seen seen;

char thing;
void* const kThing = &thing;
void* const kHint = reinterpret_cast<void*>(NCCL_NET_OPTIONAL_RECV_COMPLETION);

template <class Size>
ncclResult_t Take(int n, void** data, Size* sizes, int* tags, void** mhandles, void** request) {
  seen = {.size = static_cast<size_t>(*sizes),
          .tag = *tags,
          .buffers = n,
          .data = *data,
          .mhandle = *mhandles,
          .before = *request};
  *request = kThing;
  return ncclSuccess;
}

void ExpectReceive(Net& net) {
  void* request = kHint;
  EXPECT_EQ(net.Irecv(kThing, &seen, 4096, 7, &thing, &request), ncclSuccess);
  EXPECT_EQ(request, kThing);
  EXPECT_EQ(seen.size, 4096U);
  EXPECT_EQ(seen.tag, 7);
  EXPECT_EQ(seen.buffers, 1);
  EXPECT_EQ(seen.data, &seen);
  EXPECT_EQ(seen.mhandle, &thing);
  EXPECT_EQ(seen.before, kHint) << "what was in the slot";
}

void ExpectConnect(Net& net, bool device_handle, void* context) {
  void* comm = nullptr;
  EXPECT_EQ(net.Connect(context, 3, &thing, &comm), ncclSuccess);
  EXPECT_EQ(comm, kThing);
  EXPECT_EQ(seen.device_handle, device_handle);
}

TEST(PerfNet, ATableOfV6IsCalledAsNcclDoes) {
  ncclNet_v6_t table{};
  table.name = "six";
  table.connect = [](int, void*, void** comm) {
    seen = {};
    *comm = kThing;
    return ncclSuccess;
  };
  table.irecv = [](void*, int n, void** data, int* sizes, int* tags, void** mhandles, void** request) {
    return Take(n, data, sizes, tags, mhandles, request);
  };
  table.regMr = [](void*, void*, int, int, void**) { return ncclSuccess; };
  const auto net = MakeNet(6, &table);
  EXPECT_STREQ(net->name(), "six");
  EXPECT_FALSE(net->takes_hint());
  ExpectConnect(*net, false, nullptr);
  ExpectReceive(*net);
  void* mhandle = nullptr;
  EXPECT_EQ(net->RegMr(nullptr, nullptr, size_t{1} << 31, &mhandle), ncclInternalError) << "an int holds no 2 GiB";
  EXPECT_EQ(net->Isend(nullptr, nullptr, (size_t{1} << 30) + 1, 0, nullptr, &mhandle), ncclInternalError);
  EXPECT_EQ(net->Finalize(nullptr), ncclSuccess) << "v6 has none";
}

TEST(PerfNet, TablesOfV8ToV10AreCalledAsNcclDoes) {
  ncclNet_v8_t eight{};
  eight.connect = [](int, void*, void** comm, ncclNetDeviceHandle_t** handle) {
    seen = {.device_handle = handle != nullptr && *handle == nullptr};
    *comm = kThing;
    return ncclSuccess;
  };
  eight.irecv = [](void*, int n, void** data, int* sizes, int* tags, void** mhandles, void** request) {
    return Take(n, data, sizes, tags, mhandles, request);
  };
  ExpectConnect(*MakeNet(8, &eight), true, nullptr);
  ExpectReceive(*MakeNet(8, &eight));

  ncclNet_v9_t nine{};
  nine.irecv = [](void*, int n, void** data, size_t* sizes, int* tags, void** mhandles, void** request) {
    return Take(n, data, sizes, tags, mhandles, request);
  };
  EXPECT_TRUE(MakeNet(9, &nine)->takes_hint());
  ExpectReceive(*MakeNet(9, &nine));

  ncclNet_v10_t ten{};
  ten.connect = [](int, ncclNetCommConfig_v10_t* config, void*, void** comm, ncclNetDeviceHandle_t** handle) {
    seen = {.traffic_class = config->trafficClass, .device_handle = *handle == nullptr};
    *comm = kThing;
    return ncclSuccess;
  };
  ten.irecv = [](void*, int n, void** data, size_t* sizes, int* tags, void** mhandles, void**, void** request) {
    return Take(n, data, sizes, tags, mhandles, request);
  };
  ExpectConnect(*MakeNet(10, &ten), true, nullptr);
  EXPECT_EQ(seen.traffic_class, NCCL_NET_TRAFFIC_CLASS_UNDEF);
  ExpectReceive(*MakeNet(10, &ten));
}

TEST(PerfNet, V12PassesItsContext) {
  ncclNet_v12_t table{};
  table.connect = [](void* context, int, void*, void** comm, ncclNetDeviceHandle_t** handle) {
    seen = {.context = context, .device_handle = *handle == nullptr};
    *comm = kThing;
    return ncclSuccess;
  };
  table.finalize = [](void* context) {
    seen = {.context = context};
    return ncclSuccess;
  };
  const auto net = MakeNet(12, &table);
  ExpectConnect(*net, true, kThing);
  EXPECT_EQ(seen.context, kThing);
  net->SetNetAttributes(kThing);  // NULL in the table: not called
  EXPECT_EQ(net->Finalize(&seen), ncclSuccess);
  EXPECT_EQ(seen.context, &seen);
}

TEST(PerfNet, ATableWithHolesIsRefused) {
  ncclNet_v12_t table{};
  EXPECT_THAT(MakeNet(12, &table)->CheckTable().error().what, HasSubstr("has no name"));
  EXPECT_EQ(MakeNet(13, &table), nullptr);
}

TEST(PerfNet, FieldsThatGetPropertiesLeavesAreNamed) {
  ncclNet_v12_t table{};
  table.getProperties = [](int, ncclNetProperties_v12_t*) { return ncclSuccess; };
  Properties p;
  ASSERT_EQ(MakeNet(12, &table)->GetProperties(0, &p), ncclSuccess);
  EXPECT_THAT(CheckProperties(p, 1, 12).error().what, HasSubstr("left name unwritten"));

  // Everything but one field each.
  table.getProperties = [](int device, ncclNetProperties_v12_t* raw) {
    static char name[] = "relay0";
    raw->name = name;
    raw->pciPath = nullptr;
    raw->guid = 1;
    raw->ptrSupport = NCCL_PTR_HOST;
    raw->regIsGlobal = raw->forceFlush = raw->port = 0;
    raw->speed = 100000;
    raw->latency = 0;
    raw->maxComms = raw->maxRecvs = raw->maxMultiRequestSize = 1;
    raw->netDeviceType = raw->netDeviceVersion = 0;
    raw->vProps.ndevs = 1;
    raw->vProps.devs[0] = device;
    raw->maxP2pBytes = raw->maxCollBytes = 1 << 30;
    raw->railId = raw->planeId = -1;
    return ncclSuccess;
  };
  ASSERT_EQ(MakeNet(12, &table)->GetProperties(0, &p), ncclSuccess);
  EXPECT_TRUE(CheckProperties(p, 1, 12));
  const int rubbish = static_cast<int>(0xa5a5a5a5);
  auto names = [&](auto change) {
    Properties broken = p;
    change(broken);
    const Status status = CheckProperties(broken, 1, 12);
    return status ? std::string("nothing") : status.error().what;
  };
  EXPECT_THAT(names([&](Properties& b) { b.speed = rubbish; }), HasSubstr("speed"));
  EXPECT_THAT(names([&](Properties& b) { b.max_recvs = rubbish; }), HasSubstr("maxRecvs"));
  EXPECT_THAT(names([&](Properties& b) { b.physical_devices = rubbish; }), HasSubstr("vProps.ndevs"));
  EXPECT_THAT(names([&](Properties& b) { b.first_physical = 1; }), HasSubstr("vProps.devs"));
  EXPECT_THAT(names([&](Properties& b) { b.max_p2p_bytes = 0xa5a5a5a5a5a5a5a5; }), HasSubstr("maxP2pBytes"));
  EXPECT_THAT(names([&](Properties& b) { b.guid = 0xa5a5a5a5a5a5a5a5; }), HasSubstr("guid"));
  EXPECT_THAT(names([&](Properties& b) { b.rail = static_cast<int16_t>(0xa5a5); }), HasSubstr("railId"));
}

}  // namespace
}  // namespace relay::perf
