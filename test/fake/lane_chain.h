// A lane, direct or through relays, with both ends and all relays in this process, over the devices of any verbs table.
// Each relay has an event loop of its own, so that a test may stall it alone.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agent/relay/rdma_relay.h"
#include "transport/rdma/direct_recv_lane.h"
#include "transport/rdma/direct_send_lane.h"
#include "transport/rdma/relayed_recv_lane.h"
#include "transport/rdma/relayed_send_lane.h"

namespace relay::fake {

class LaneChain {
 public:
  struct Relay {
    explicit Relay(const Clock& clock) : loop(clock) {}
    EventLoop loop;
    Counters counters;
    agent::SlotBudget budget{size_t{64} << 20};
    std::unique_ptr<agent::RdmaRelay> relay;  // none once it has failed
  };
  static constexpr Duration kHopTimeout = std::chrono::seconds(10);

  // Device names in the order of the path, two of each hop: the sender's, the first relay's towards it, its other one,
  // ... `verbs` null: libibverbs.
  LaneChain(const transport::rdma::Verbs* verbs, const Clock& clock, std::vector<std::string> device_names)
      : names(std::move(device_names)), verbs_(verbs) {
    for (size_t i = 0; i + 1 < names.size() / 2; ++i) relays.push_back(std::make_unique<Relay>(clock));
  }
  LaneChain(const LaneChain&) = delete;
  LaneChain& operator=(const LaneChain&) = delete;

  // OPEN goes forward with the offers: everything is made, and what is dialled is connected on its side.
  Status Make() {
    RELAY_TRY(Keep(transport::rdma::Device::Open(names.front(), 1, verbs_), first));
    RELAY_TRY(Keep(transport::rdma::Device::Open(names.back(), 1, verbs_), last));
    RELAY_TRY(MakeSender());
    transport::rdma::HopOffer offer = OverTheWire(sender->offer());
    for (size_t i = 0; i < relays.size(); ++i) {
      Relay& at = *relays[i];
      const agent::RdmaRelay::Ports ports{
          {names[2 * i + 1], 1}, {names[2 * i + 2], 1}, i + 1 == relays.size(), kHopTimeout};
      RELAY_TRY(Keep(agent::RdmaRelay::Make({at.loop, at.counters, at.budget, verbs_}, ports, offer, {}), at.relay));
      offer = OverTheWire(at.relay->offer_onward());
    }
    return MakeReceiver(offer);
  }

  // OPENED goes back with the answers. `failed`: a relay has ended.
  Status Connect(const std::function<void(const std::string&)>& failed) {
    transport::rdma::HopOffer answer = OverTheWire(answer_);
    for (size_t i = relays.size(); i-- > 0;) {
      Relay& at = *relays[i];
      RELAY_TRY(at.relay->ConnectFar(answer));
      answer = OverTheWire(at.relay->offer_back());
      RELAY_TRY(at.relay->Start([&at, failed](const Error& error) {
        const auto ended = std::move(at.relay);
        failed(error.what);
      }));
    }
    return sender->Connect(answer);
  }

  void RunRelays() {
    for (auto& at : relays) at->loop.RunOnce(Duration::zero());
  }

  const std::vector<std::string> names;
  std::shared_ptr<transport::rdma::Device> first, last;  // of the ends
  std::vector<std::unique_ptr<Relay>> relays;
  std::unique_ptr<transport::rdma::DialledLane> sender;
  std::unique_ptr<transport::RecvLane> receiver;

 private:
  static transport::rdma::HopOffer OverTheWire(const transport::rdma::HopOffer& offer) {
    return transport::rdma::DecodeHopOffer(transport::rdma::EncodeHopOffer(offer)).value();
  }

  Status MakeSender() {
    if (relays.empty()) return Keep(transport::rdma::DirectSendLane::Make(first, kHopTimeout), sender);
    return Keep(transport::rdma::RelayedSendLane::Make(first, kHopTimeout), sender);
  }
  Status MakeReceiver(const transport::rdma::HopOffer& offer) {
    if (relays.empty()) return Answer(transport::rdma::DirectRecvLane::Make(last, offer, {}, kHopTimeout));
    return Answer(transport::rdma::RelayedRecvLane::Make(last, offer, {}, kHopTimeout));
  }
  template <class Lane>
  Status Answer(Result<std::unique_ptr<Lane>> lane) {
    if (lane) answer_ = (*lane)->offer();
    return Keep(std::move(lane), receiver);
  }
  template <class Made, class Kept>
  static Status Keep(Result<Made> made, Kept& kept) {
    if (!made) return tl::unexpected<Error>(std::move(made).error());
    kept = std::move(*made);
    return {};
  }

  const transport::rdma::Verbs* const verbs_;
  transport::rdma::HopOffer answer_;
};

}  // namespace relay::fake
