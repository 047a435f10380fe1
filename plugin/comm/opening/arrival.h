// A circuit that has arrived for a token of this process, made ready: its end of RDMA, and OPENED as the first thing
// sent.
#pragma once
#include <string>
#include <vector>

#include "comm/opening/opening.h"
#include "stream/recv_stream.h"

namespace relay::comm {

struct Arrival {
  stream::RecvCircuit circuit;
  Devices devices{};  // that move its messages; none: its socket does
  CircuitName name{};
  NodeId source = 0;
  std::string source_name{};
  Token source_token{};  // of the sending end
  std::vector<RouteHop> route{};
};

// `received`: a control::Arrived with its socket.
Arrival MakeArrival(const CircuitTools& tools, control::Received received);

}  // namespace relay::comm
