// Whether the way to an address leads through a node of the own fabric: then it is no link. Pure.
//
// Routers on the way make themselves known: the next one by the kernel's route, those behind it by their answers to
// hellos that live for a few hops only (ICMP time exceeded). Each is held against what the fabric knows of its nodes'
// addresses, and asked whether an agent answers there.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/socket_address.h"

namespace relay::agent {

class WayCheck {
 public:
  enum class Verdict : uint8_t { kUnknown, kClear, kThroughFabric };
  using IsNode = std::function<bool(const SocketAddress&)>;

  static constexpr int kRounds = 3;
  static constexpr Duration kBetweenRounds = std::chrono::milliseconds(300);
  // From the start of a check to its verdict: the rounds, and time for the last answers.
  static constexpr Duration kTime = std::chrono::milliseconds(1000);
  // From verdict to the next check: ways change.
  static constexpr Duration kAgain = std::chrono::seconds(30);
  static constexpr size_t kMostRouters = 32;

  void Restart(TimePoint now);
  void AddRouter(const SocketAddress& router, TimePoint now);
  // True when a round of questions has to leave now: to every router known, and short-lived hellos along the way.
  bool TakeRound(TimePoint now);
  // The verdict as of now. A node among the routers is enough for the bad one; the good one takes a whole check.
  Verdict Judge(TimePoint now, const IsNode& is_node);
  TimePoint due() const;
  std::vector<SocketAddress> routers() const;
  const SocketAddress& culprit() const { return culprit_; }

 private:
  struct Router {
    SocketAddress address;
    TimePoint seen{};
  };
  Verdict verdict_ = Verdict::kUnknown;
  TimePoint started_{};
  TimePoint next_check_{};
  int round_ = kRounds;
  bool running_ = false;
  std::map<std::string, Router> routers_;
  SocketAddress culprit_;
};

}  // namespace relay::agent
