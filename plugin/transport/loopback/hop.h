// A hop inside one node: the two ends of a socketpair, as the agent hands them out for a path to oneself.
#pragma once
#include "transport/stream_socket.h"

namespace relay::transport::loopback {

class LoopbackHop final : public StreamHop {
 public:
  using StreamHop::StreamHop;
};

}  // namespace relay::transport::loopback
