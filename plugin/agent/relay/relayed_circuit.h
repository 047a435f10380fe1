// Two hops joined: bytes are spliced from each socket to the other through a pipe and never enter user space. The end
// of one side's stream is passed on after the last byte; a broken side ends the other one too, but not before what it
// had sent has left. The process must ignore SIGPIPE, because splice has no MSG_NOSIGNAL.
#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "agent/common/budget.h"
#include "agent/relay/pipe_pool.h"
#include "base/event_loop.h"
#include "fabric/route.h"
#include "relay/counters.h"
#include "relay/setup.h"

namespace relay::agent {

class RelayedCircuit {
 public:
  enum class Means { kSplice, kCopy };  // kCopy: where the kernel cannot splice these sockets
  struct Sides {
    Fd near;  // towards the circuit's source
    Fd far;   // towards its destination
  };
  struct Facts {
    CircuitName name;
    std::string path, from, to;
    std::array<fabric::LinkName, 2> links = {};  // of the near and the far side
  };
  struct Tools {
    EventLoop& loop;
    PipePool& pipes;
    Counters& counters;
  };

  // `done` is the last thing that happens here: the owner destroys this in it.
  RelayedCircuit(Tools tools, Facts facts, Sides sides, Budget::Lease lease, std::function<void()> done);
  ~RelayedCircuit();
  RelayedCircuit(const RelayedCircuit&) = delete;
  RelayedCircuit& operator=(const RelayedCircuit&) = delete;

  Status Start(Means means = Means::kSplice);
  const Facts& facts() const { return facts_; }
  uint64_t bytes_forward() const { return flows_[0].bytes; }
  uint64_t bytes_backward() const { return flows_[1].bytes; }

 private:
  // One direction. `held` bytes are in the pipe (or in the buffer, when copying).
  struct Flow {
    int from = -1, to = -1;
    bool readable = true, writable = true;  // as far as the last call and the events since tell
    bool muted = false;                     // arrivals at `from` do not wake the loop while `to` takes nothing
    enum class End : uint8_t { kNotYet, kCame, kPassedOn };
    End end = End::kNotYet;  // `from` has no more bytes; and `to` knows
    bool broken = false;     // `to` takes no more bytes: what comes is thrown away
    Pipe pipe;
    std::vector<std::byte> buffer;
    size_t held = 0;
    uint64_t bytes = 0;
    bool ended() const { return end != End::kNotYet; }
    bool finished() const { return ended() && held == 0; }
  };
  enum class Step { kMoved, kBlocked };

  void OnEvents(size_t side, uint32_t events);
  void Mute(Flow& flow, bool muted);
  void Pump();
  bool PumpFlow(Flow& flow);  // true: there is more to do right now
  Step Fill(Flow& flow);
  Step Drain(Flow& flow);
  Step Discard(Flow& flow);
  ssize_t FillOnce(Flow& flow);
  ssize_t DrainOnce(Flow& flow);
  void PumpLater(Duration delay);
  // errno says how.
  void Failed(int fd);

  Tools tools_;
  const Facts facts_;
  Sides sides_;
  Budget::Lease lease_;
  std::function<void()> done_;
  std::array<Flow, 2> flows_;
  Means means_ = Means::kSplice;
  EventLoop::TimerId again_ = 0, deadline_ = 0;
};

}  // namespace relay::agent
