// One link state, a clock, and all that it sends.
#pragma once
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "fake/manual_clock.h"
#include "unit/fabric/sample_records.h"

namespace relay::fabric {

using Pairs = std::vector<std::pair<SessionId, NodeId>>;

class LinkStateTest : public ::testing::Test {
 protected:
  struct Sent {
    SessionId session;
    LinkStateMessage message;
  };

  LinkState Make(NodeId self, uint64_t incarnation = 1) {
    LinkState::Hooks hooks;
    hooks.send = [this](SessionId session, const LinkStateMessage& message) { sent_.push_back({session, message}); };
    hooks.seal = FakeSeal;
    hooks.verify = [](std::span<const std::byte> bytes, const Mac& mac) { return FakeSeal(bytes) == mac; };
    LinkStateOptions options;
    options.self = self;
    options.incarnation = incarnation;
    return LinkState(options, std::move(hooks));
  }
  TimePoint Now() const { return clock_.Now(); }

  // Records sent since the last look, as (session, node).
  Pairs Records() {
    Pairs out;
    for (const Sent& sent : std::exchange(sent_, {})) {
      const auto* records = std::get_if<message::Records>(&sent.message);
      if (!records) continue;
      for (const SealedRecord& sealed : records->records) {
        out.emplace_back(sent.session, DecodeRecord(sealed.bytes)->node);
      }
    }
    return out;
  }
  template <class Body>
  std::vector<Body> Messages() {
    std::vector<Body> out;
    for (const Sent& sent : std::exchange(sent_, {})) {
      if (const auto* body = std::get_if<Body>(&sent.message)) out.push_back(*body);
    }
    return out;
  }
  static LinkStateMessage Message(const Record& record, uint32_t age_ms = 0) {
    return message::Records{{Sealed(record, age_ms)}};
  }
  static Record Later(Record record, uint64_t sequence, uint16_t agent_port = 1) {
    record.edition.sequence = sequence;
    record.agent_port = agent_port;
    return record;
  }

  fake::ManualClock clock_;
  std::vector<Sent> sent_;
};

}  // namespace relay::fabric
