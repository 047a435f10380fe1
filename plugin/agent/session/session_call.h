// Dials one neighbour for a session: connects over the link, greets, says SESSION and takes the answer. Ends once, by
// calling its owner, who may destroy it then; destroying it earlier hangs up.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/common/setup_io.h"
#include "agent/session/frame.h"
#include "agent/session/message.h"
#include "agent/trust/handshake.h"
#include "base/event_loop.h"
#include "transport/tcp/dial.h"

namespace relay::agent {

class SessionCall {
 public:
  struct Answered {
    Fd socket;
    FrameReader reader;  // with what came after the answer
    FrameWriter writer;
    SessionMessage message;
  };
  struct Failure {
    std::string why;
    bool other_key = false;  // the neighbour's proof did not hold
  };
  using Outcome = tl::expected<Answered, Failure>;
  using Done = std::function<void(Outcome)>;
  struct Facts {
    transport::tcp::DialTarget target;
    transport::tcp::HopOptions hop;
    std::shared_ptr<const Key> key;
    Party peer;
    SessionMessage message;
  };

  // Never calls `done` before it returns.
  SessionCall(EventLoop& loop, const Facts& facts, Done done);
  ~SessionCall();
  SessionCall(const SessionCall&) = delete;
  SessionCall& operator=(const SessionCall&) = delete;

 private:
  void Dial(const transport::tcp::DialTarget& target, const transport::tcp::HopOptions& hop);
  void OnConnecting();
  void OnConnected(uint32_t events);
  void Write();
  void ReadGreeting();
  void ReadAnswer();
  void Fail(const std::string& why, bool other_key = false);
  void Finish(Outcome outcome);

  EventLoop& loop_;
  Done done_;
  DialerHandshake handshake_;
  Fd socket_;
  SetupWriter writer_;
  SetupReader greeting_;
  std::optional<FrameReader> answer_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
