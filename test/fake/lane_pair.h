// Both ends of a lane inside one thread, over devices made of code.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "fake/verbs/fake_verbs.h"
#include "transport/rdma/device.h"
#include "transport/rdma/direct_recv_lane.h"
#include "transport/rdma/direct_send_lane.h"

namespace relay::fake {

inline std::shared_ptr<transport::rdma::Device> OpenDevice(FakeVerbs& verbs, const std::string& name) {
  auto device = transport::rdma::Device::Open(name, 1, &verbs.table());
  if (!device) ADD_FAILURE() << device.error().what;
  return device ? *device : nullptr;
}

// Memory of a caller, registered on one device.
struct Registered {
  Registered(transport::rdma::Device& device, size_t size) : bytes(size == 0 ? 1 : size) {
    auto registered = device.Register(bytes.data(), bytes.size());
    if (!registered) ADD_FAILURE() << registered.error().what;
    if (registered) memory = *registered;
  }
  transport::LaneBuffer buffer(size_t size) {
    return {bytes.data(), size, {{{memory->local_key(), memory->remote_key()}}}};
  }
  std::vector<std::byte> bytes;
  std::shared_ptr<transport::rdma::Memory> memory;
};

// One hop: device "a" sends to device "b".
struct DirectLanes {
  explicit DirectLanes(FakeVerbs::Pump pump = FakeVerbs::Pump::kPerPost) : verbs(pump) {
    using namespace transport::rdma;
    verbs.AddLink("a", "b");
    a = OpenDevice(verbs, "a");
    b = OpenDevice(verbs, "b");
    sender = DirectSendLane::Make(a, std::chrono::seconds(10)).value();
    receiver =
        DirectRecvLane::Make(b, DecodeHopOffer(EncodeHopOffer(sender->offer())).value(), {}, std::chrono::seconds(10))
            .value();
    const Status connected = sender->Connect(DecodeHopOffer(EncodeHopOffer(receiver->offer())).value());
    EXPECT_TRUE(connected) << (connected ? "" : connected.error().what);
  }
  FakeVerbs verbs;
  std::shared_ptr<transport::rdma::Device> a, b;
  std::unique_ptr<transport::rdma::DirectSendLane> sender;
  std::unique_ptr<transport::rdma::DirectRecvLane> receiver;
};

}  // namespace relay::fake
