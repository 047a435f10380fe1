// A lane over devices made of code, direct or through relays, with both ends and all relays in this process. The
// sender's device "n0" is cabled to "f0" of the first relay, whose "n1" is cabled to "f1" of the next, and so on; the
// last "f" is the receiver's. Each relay has an event loop of its own, so that a test may stall it alone.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/rdma_relay.h"
#include "fake/lane_pair.h"
#include "transport/rdma/relayed_recv_lane.h"
#include "transport/rdma/relayed_send_lane.h"

namespace relay::fake {

// A clock whose hands the test turns, and that no two looks find at the same place: what an event loop is to do "at
// once" is due at its next turn, not for ever in this one.
class TurnedClock final : public Clock {
 public:
  TimePoint Now() const override { return now_ += std::chrono::nanoseconds(10); }
  void Advance(Duration d) { now_ += d; }

 private:
  mutable TimePoint now_{std::chrono::hours(1)};
};

class RdmaChain {
 public:
  struct Options {
    size_t relays = 0;
    FakeVerbs::Pump pump = FakeVerbs::Pump::kPerPost;
    uint32_t max_message = 1u << 30;  // of every device
  };
  struct Relay {
    explicit Relay(const Clock& clock) : loop(clock) {}
    EventLoop loop;
    Counters counters;
    agent::SlotBudget budget{size_t{64} << 20};
    std::unique_ptr<agent::RdmaRelay> relay;  // none once it has failed
  };
  static constexpr Duration kHopTimeout = std::chrono::seconds(10);

  explicit RdmaChain(const Options& options) : verbs(options.pump) {
    for (size_t hop = 0; hop <= options.relays; ++hop) {
      const std::string subnet = "10.0." + std::to_string(hop) + ".";
      for (const std::string& name : {Near(hop), Far(hop)}) {
        DeviceSpec spec{.name = name, .ports = {RocePort(subnet + (name == Near(hop) ? "1" : "2"))}};
        spec.ports[0].max_message = options.max_message;
        verbs.Add(spec);
        names.push_back(name);
      }
      verbs.Connect({Near(hop)}, {Far(hop)});
    }
    for (size_t i = 0; i < options.relays; ++i) relays.push_back(std::make_unique<Relay>(clock));
  }
  RdmaChain(const RdmaChain&) = delete;
  RdmaChain& operator=(const RdmaChain&) = delete;

  static std::string Near(size_t hop) { return "n" + std::to_string(hop); }
  static std::string Far(size_t hop) { return "f" + std::to_string(hop); }

  // OPEN goes forward with the offers: everything is made, and what is dialled is connected on its side.
  Status Make() {
    using namespace transport::rdma;
    first = OpenDevice(verbs, names.front());
    last = OpenDevice(verbs, names.back());
    RELAY_TRY(MakeSender());
    HopOffer offer = OverTheWire(sender->offer());
    for (size_t i = 0; i < relays.size(); ++i) {
      Relay& at = *relays[i];
      auto relay =
          agent::RdmaRelay::Make({at.loop, at.counters, at.budget, &verbs.table()},
                                 {{Far(i), 1}, {Near(i + 1), 1}, i + 1 == relays.size(), kHopTimeout}, offer, {});
      if (!relay) return tl::unexpected<Error>(std::move(relay).error());
      at.relay = std::move(*relay);
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

  FakeVerbs verbs;
  TurnedClock clock;
  std::vector<std::string> names;                        // of the devices, in the order of the path
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
  template <class Lane, class Kept>
  static Status Keep(Result<std::unique_ptr<Lane>> lane, std::unique_ptr<Kept>& kept) {
    if (!lane) return tl::unexpected<Error>(std::move(lane).error());
    kept = std::move(*lane);
    return {};
  }

  transport::rdma::HopOffer answer_;
};

}  // namespace relay::fake
