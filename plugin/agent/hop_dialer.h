// Opens a circuit over the next link of its route: dials the neighbour, sends OPEN, waits for its answer. Ends once,
// by calling its owner, who may destroy it then; destroying it earlier hangs up.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "agent/budget.h"
#include "agent/local_node.h"
#include "agent/setup_io.h"
#include "base/event_loop.h"

namespace relay::agent {

class HopDialer {
 public:
  struct Opened {
    Fd socket;  // what follows OPENED is still in it
    OpenedMessage message;
  };
  using Outcome = tl::expected<Opened, RefusedMessage>;
  using Done = std::function<void(Outcome)>;

  // open.hop names the link. Never calls `done` before it returns.
  HopDialer(EventLoop& loop, const LocalNode& node, OpenMessage open, Done done);
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
  void ReadAnswer();
  void SetTimer(Duration delay, std::function<void()> callback);
  // Last thing a member does: the owner may have destroyed this.
  void Finish(Outcome outcome);

  EventLoop& loop_;
  const LocalNode& node_;
  const OpenMessage open_;
  Done done_;
  std::vector<transport::tcp::DialTarget> targets_;
  size_t next_target_ = 0;
  std::string failures_;  // of the targets so far
  int last_errno_ = 0;
  TimePoint deadline_;
  Fd socket_;
  SetupWriter writer_;
  bool sent_ = false;
  SetupReader reader_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
