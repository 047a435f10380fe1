// One open session: its socket, what waits to be sent, and the PINGs that measure the line and notice its end. Knows
// nothing of what its messages mean.
#pragma once
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "agent/discovery/adjacency.h"
#include "agent/session/frame.h"
#include "base/event_loop.h"
#include "base/fd.h"

namespace relay::agent {

class Session {
 public:
  struct Line {
    Fd socket;
    FrameReader reader;  // with what has come already
    FrameWriter writer;
    Duration silence;  // of the other end, after which the session is over
  };
  struct Hooks {
    // Not PING, PONG or REFUSED. May destroy the session.
    std::function<void(Frame)> message;
    // A round trip was measured: the smallest of the last few.
    std::function<void(Duration)> round_trip;
    // Once; the owner destroys the session in it. `forged`: a message had no proof of the key.
    std::function<void(const Loss&, bool forged)> ended;
  };

  Session(EventLoop& loop, Line line, Hooks hooks);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Once; hooks may be called from here on, never before it returns.
  Status Start();
  // Queued. A neighbour that does not read, so that the queue grows beyond its bound, loses the session: soon, not in
  // this call.
  void Send(SetupType type, std::span<const std::byte> body);
  // Soon, not in this call.
  void End(const Loss& loss);
  // The other host's kernel has acknowledged every PING so far: then it is reached, whatever becomes of its agent.
  // PINGs are closer together than what counts as silence.
  bool HostAnswers() const;

 private:
  void OnEvents(uint32_t events);
  // False: this is destroyed or has ended.
  bool Read();
  bool TakeMessages();
  bool Take(Frame frame);
  void OnPong(const Frame& frame);
  bool Flush();
  void Ping();
  void Finish(const Loss& loss, bool forged = false);

  EventLoop& loop_;
  Fd socket_;
  FrameReader reader_;
  FrameWriter writer_;
  const Duration silence_;
  Hooks hooks_;
  std::deque<std::vector<std::byte>> queue_;
  size_t queued_bytes_ = 0, front_sent_ = 0;
  bool waits_for_room_ = false;
  TimePoint heard_, pinged_;
  std::array<Duration, 8> round_trips_{};
  size_t round_trip_count_ = 0;
  EventLoop::TimerId ping_timer_ = 0, end_timer_ = 0;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace relay::agent
