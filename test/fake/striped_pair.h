// Both ends of a lane over several links inside one thread, over devices made of code.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "fake/lane_pair.h"

namespace relay::fake {

using Devices = std::vector<std::shared_ptr<transport::rdma::Device>>;

// Memory of a caller, registered on every device of its side.
struct RegisteredOnAll {
  RegisteredOnAll(const Devices& devices, size_t size) : bytes(size == 0 ? 1 : size) {
    for (const auto& device : devices) memory.push_back(device->Register(bytes.data(), bytes.size()).value());
  }
  transport::LaneBuffer buffer(size_t size) {
    transport::LaneBuffer out{bytes.data(), size};
    for (size_t i = 0; i < memory.size(); ++i) out.keys[i] = {memory[i]->local_key(), memory[i]->remote_key()};
    return out;
  }
  std::vector<std::byte> bytes;
  std::vector<std::shared_ptr<transport::rdma::Memory>> memory;
};

// Devices "a0", "a1", ... send to "b0", "b1", ... Connect() makes the lanes.
struct StripedLanes {
  explicit StripedLanes(size_t links, FakeVerbs::Pump pump = FakeVerbs::Pump::kPerPost) : verbs(pump) {
    for (size_t i = 0; i < links; ++i) {
      const std::string number = std::to_string(i);
      verbs.AddLink("a" + number, "b" + number);
      a.push_back(OpenDevice(verbs, "a" + number));
      b.push_back(OpenDevice(verbs, "b" + number));
    }
  }

  // Devices that are null are not offered; speeds that are missing are unknown.
  transport::rdma::LaneOffer Dial(const Devices& devices, const std::vector<uint32_t>& speeds = {}) {
    std::vector<transport::rdma::DirectSendLane::Link> from;
    for (size_t i = 0; i < devices.size(); ++i) from.push_back({devices[i], i < speeds.size() ? speeds[i] : 0});
    sender = transport::rdma::DirectSendLane::Make(from, std::chrono::seconds(10)).value();
    return transport::rdma::DecodeLaneOffer(transport::rdma::EncodeLaneOffer(sender->offers())).value();
  }
  transport::rdma::LaneOffer Answer(const Devices& devices, const transport::rdma::LaneOffer& offer) {
    std::vector<transport::rdma::DirectRecvLane::Link> to;
    for (const auto& device : devices) to.push_back({device});
    receiver = transport::rdma::DirectRecvLane::Make(to, offer, std::chrono::seconds(10)).value();
    return transport::rdma::DecodeLaneOffer(transport::rdma::EncodeLaneOffer(receiver->offers())).value();
  }
  void Connect(const std::vector<uint32_t>& speeds = {}) {
    const Status connected = sender_connected(Answer(b, Dial(a, speeds)));
    ASSERT_TRUE(connected) << connected.error().what;
  }
  Status sender_connected(const transport::rdma::LaneOffer& answer) { return sender->ConnectAll(answer); }

  FakeVerbs verbs;
  Devices a, b;
  std::unique_ptr<transport::rdma::DirectSendLane> sender;
  std::unique_ptr<transport::rdma::DirectRecvLane> receiver;
};

}  // namespace relay::fake
