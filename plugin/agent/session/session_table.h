// The sessions of this node: one authenticated TCP line to a neighbour's agent per link, over that link. A link counts
// while its session lives. The end with the lower node id dials.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/common/budget.h"
#include "agent/discovery/adjacency.h"
#include "agent/trust/key.h"
#include "base/event_loop.h"
#include "fabric/link_state.h"
#include "relay/counters.h"
#include "transport/tcp/dial.h"

namespace relay::agent {

using fabric::SessionId;

struct SessionFacts {
  SessionId id = 0;
  std::string near_port;  // interface
  PortName far;
  uint64_t far_incarnation = 0;
  std::string far_name;   // of the host
  std::string far_build;  // of its agent
  bool routed = false;
  transport::tcp::DialTarget
      target;               // how this link is dialled from here: for circuits too. A routed one's interface is empty
  uint32_t latency_us = 0;  // one way, half of the smallest round trip so far; 0: unknown
};

// Question and answers that travel over sessions to every agent and back: "status", for drawings of the whole fabric.
struct Finding {
  NodeId node = 0;
  std::string name;
  std::string text;  // at most 32 KiB
};

struct SessionParts;
class Lines;
class OpenSessions;
class LineDialer;
class SessionCalls;

class SessionTable {
 public:
  struct Hooks {
    std::function<void(const SessionFacts&)> up;
    std::function<void(const SessionFacts&, const Loss&)> down;
    std::function<void(const SessionFacts&)> measured;  // latency_us changed notably (factor 2)
    std::function<void(SessionId, const fabric::LinkStateMessage&)> link_state;
    std::function<std::string(const std::string& question)> answer;  // of this node to a survey
  };
  struct Self {
    NodeId node = 0;
    uint64_t incarnation = 0;
    std::string name, build;
    uint16_t port = 0;
    transport::tcp::HopOptions hop;
    std::shared_ptr<const Key> key;  // null: the fabric is open
  };

  SessionTable(EventLoop& loop, Self self, Hooks hooks, Counters& counters);
  ~SessionTable();
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  // Dials when this end is the one to dial; the other end waits for the call. Dials again, with back-off, while the
  // adjacency lasts and no session lives.
  void Found(const Adjacent& adjacent);
  // The session of that adjacency ends too.
  void Lost(const Adjacent& adjacent, Loss loss);
  // A call whose handshake is done and whose first message was a SESSION: the socket, what it said, and where it came
  // in.
  struct Call {
    Fd socket;
    std::vector<std::byte> body;  // of the SESSION message
    std::string near_port;        // interface of the listener
    SocketAddress from, to;
    std::shared_ptr<const Key> secret = {};  // of this call; null: the fabric is open
    NodeId proven = 0;                       // whose proof the handshake had; 0: the fabric is open
    Budget::Lease lease = {};                // of its descriptor
  };
  // Takes the call, waits a moment for discovery to find who calls, or refuses in a sentence.
  void Accepted(Call call);

  // Queued: leaves with the next turn of the loop. Nothing happens when the session is gone.
  void Send(SessionId session, const fabric::LinkStateMessage& message);
  // Ends a session whose other end misbehaves: soon, not in this call. It is dialled again later.
  void Drop(SessionId session, const std::string& why);
  // Asks every agent that sessions lead to; `done` gets what came back within `patience`, this node's own first.
  void Survey(const std::string& question, Duration patience, std::function<void(std::vector<Finding>)> done);
  void SetKey(std::shared_ptr<const Key> key);  // SIGHUP: for sessions and calls from now on
  std::vector<SessionFacts> sessions() const;

 private:
  const std::unique_ptr<SessionParts> parts_;
  const std::unique_ptr<Lines> lines_;
  const std::unique_ptr<OpenSessions> sessions_;
  const std::unique_ptr<LineDialer> dialer_;
  const std::unique_ptr<SessionCalls> calls_;
};

}  // namespace relay::agent
