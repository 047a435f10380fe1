// Opens a circuit over the next link of its route: dials the neighbour, greets it, sends OPEN, waits for its answer.
// Ends once, by calling its owner, who may destroy it then; destroying it earlier hangs up.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/common/budget.h"
#include "agent/common/setup_io.h"
#include "agent/node/local_node.h"
#include "agent/trust/handshake.h"
#include "base/event_loop.h"
#include "relay/counters.h"

namespace relay::agent {

struct DialTrust {
  std::shared_ptr<const Key> key = {};  // null: the fabric is open
  Counters* counters = nullptr;         // for a neighbour whose proof does not hold
};

class HopDialer {
 public:
  struct Opened {
    Fd socket;  // what follows OPENED is still in it
    OpenedMessage message;
  };
  using Outcome = tl::expected<Opened, RefusedMessage>;
  using Done = std::function<void(Outcome)>;

  // open.hop names the link. Never calls `done` before it returns.
  HopDialer(EventLoop& loop, const LocalNode& node, OpenMessage open, Done done, DialTrust trust = {});
  ~HopDialer();
  HopDialer(const HopDialer&) = delete;
  HopDialer& operator=(const HopDialer&) = delete;

 private:
  void DialNext();
  std::string CauseOfSilence() const;
  void OnConnecting();
  void OnConnected(uint32_t events);
  void AttemptFailed(const std::string& reason, int err);
  void HangUp();
  void Greet();
  void Write();
  // False: the handshake is not over yet, or this has finished.
  bool ReadGreeting();
  bool TakeGreeting();
  void ReadAnswer();
  void AwaitOpened();
  void BrokenOff(const Error& error);
  void SetTimer(Duration delay, std::function<void()> callback);
  // Last thing a member does: the owner may have destroyed this.
  void Finish(Outcome outcome);

  EventLoop& loop_;
  const LocalNode& node_;
  const OpenMessage open_;
  Done done_;
  std::vector<transport::tcp::DialTarget> targets_;
  transport::tcp::HopOptions hop_;
  size_t next_target_ = 0;
  std::string failures_;  // of the targets so far
  int last_errno_ = 0;
  TimePoint deadline_;
  Fd socket_;
  const DialTrust trust_;
  std::optional<DialerHandshake> handshake_;  // of the socket
  SetupWriter writer_{{}};
  bool sent_ = false;
  SetupReader reader_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
