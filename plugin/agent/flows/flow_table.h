// The circuits that are open at this node, as long as the kernel knows one of their sockets. Pure bookkeeping.
#pragma once
#include <deque>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "agent/flows/tcp_socket.h"
#include "base/clock.h"
#include "relay/setup.h"

namespace relay::agent {

enum class FlowRole : uint8_t { kSource, kRelay, kDestination };
const char* RoleText(FlowRole role);  // "source"

// What the kernel counts for one socket, since it was connected.
struct SocketFacts {
  uint64_t sent_bytes = 0;  // acknowledged by the other kernel
  uint64_t received_bytes = 0;
  uint64_t retransmits = 0;       // segments
  uint64_t delivery_bytes_s = 0;  // the kernel's estimate of the path's rate; 0: none yet
  uint32_t rtt_us = 0;            // smoothed; 0: none yet
  uint32_t unsent_bytes = 0;      // written, not yet sent: grows where the next node is the slower one
};

struct FlowHop {
  TcpSocket socket;
  std::string neighbour;  // at its other end; empty: not on the path
  std::string port;       // this node's, as the path names it; empty: not on the path
  bool told = false;      // the kernel gave its figures
  bool gone = false;      // the kernel does not know the socket any more
  SocketFacts facts;      // the last known
};

struct Flow {
  CircuitName name;
  FlowRole role = FlowRole::kSource;
  std::string path, from, to;  // of the whole circuit: "A ab--ba B", "A", "B"
  TimePoint opened{};
  std::vector<FlowHop> hops;

  // Both ways, on its busiest hop.
  uint64_t bytes() const;
};

class FlowTable {
 public:
  // Asked once per socket.
  struct Gone {};
  struct Unavailable {};  // the kernel does not tell: nothing is concluded from it
  using Looked = std::variant<SocketFacts, Gone, Unavailable>;
  using Look = std::function<Looked(const TcpSocket&)>;

  // Beyond this many the oldest entry gives way: far more circuits than descriptors allow.
  static constexpr size_t kMost = 16384;

  struct Opening {
    CircuitName name;
    FlowRole role = FlowRole::kSource;
    std::string path;                // fabric::PathText's
    std::vector<TcpSocket> sockets;  // one; at a relay two, the one towards the source first
  };
  // Nothing happens without a socket.
  void Opened(Opening opening, TimePoint now);
  // Many have been opened since the kernel was last asked: time to look, or ended ones pile up.
  bool due() const { return flows_.size() >= due_; }
  // Takes the kernel's word for every socket; entries without one end.
  void Refresh(const Look& look);

  const std::deque<Flow>& flows() const { return flows_; }  // oldest first

 private:
  std::deque<Flow> flows_;
  size_t due_ = 256;
};

}  // namespace relay::agent
