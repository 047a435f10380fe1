// One attempt to open a circuit to another process: the question to the agent, this process's queue pair when the agent
// asks for one, the answer.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "comm/opening/agent_client.h"
#include "comm/opening/rdma_end.h"
#include "comm/opening/say_once.h"
#include "relay/counters.h"
#include "stream/send_stream.h"

namespace relay::comm {

// What every circuit of a context is made with. All outlive it.
struct CircuitTools {
  AgentClient& agent;
  const Knobs& knobs;
  Counters& counters;
  SayOnce& aloud;
};

class Opening {
 public:
  struct Opened {
    stream::SendCircuit circuit;
    Devices devices;  // that move its messages, one for each stripe of the lane; none: its socket does
    std::string path;
    std::vector<RouteHop> route;
  };
  using Outcome = tl::expected<Opened, RefusedMessage>;

  // Asks at once. `node_name`: the other end's, for sentences.
  Opening(const CircuitTools& tools, control::Connect connect, std::string node_name);
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

  // nullopt: not yet. Once.
  std::optional<Outcome> Take();
  const control::Connect& connect() const { return connect_; }

 private:
  void Prepare(const control::Prepare& where);
  Outcome Open(control::Received received);

  const CircuitTools tools_;
  const control::Connect connect_;
  const std::string node_name_;
  uint64_t request_;
  std::optional<RdmaSendEnd> rdma_{};  // of the path that the agent tries now
};

}  // namespace relay::comm
