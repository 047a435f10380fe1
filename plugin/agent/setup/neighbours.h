// Asks over every link of this node whether an agent answers at its other end.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/node/local_node.h"
#include "base/event_loop.h"

namespace relay::agent {

class NeighbourProbe {
 public:
  // The answer is one sentence. The last thing that happens here: the owner destroys this in it.
  using Done = std::function<void(std::string)>;

  // Dials all links at once. Never calls `done` before it returns.
  NeighbourProbe(EventLoop& loop, const LocalNode& node, Done done);
  ~NeighbourProbe();
  NeighbourProbe(const NeighbourProbe&) = delete;
  NeighbourProbe& operator=(const NeighbourProbe&) = delete;

 private:
  struct Call {
    std::string link;  // "A-B"
    std::string neighbour;
    std::string where;
    Fd socket;  // while nothing is known
    std::string failure;
  };
  void Dial(size_t link, const LinkEnds& ends);
  void Answered(size_t call);
  void MaybeFinish();
  void Finish();

  EventLoop& loop_;
  const LocalNode& node_;
  Done done_;
  std::vector<Call> calls_;
  EventLoop::TimerId timer_ = 0;
};

// Those under way.
class NeighbourProbes {
 public:
  NeighbourProbes(EventLoop& loop, const LocalNode& node) : loop_(loop), node_(node) {}

  // Never calls `done` before it returns.
  void Start(NeighbourProbe::Done done);

 private:
  EventLoop& loop_;
  const LocalNode& node_;
  std::map<uint64_t, std::unique_ptr<NeighbourProbe>> probes_;
  uint64_t next_ = 1;
};

}  // namespace relay::agent
