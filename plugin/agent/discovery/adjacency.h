// A neighbour on a port, and how one is lost: what the two-way checks find.
#pragma once
#include <cstdint>
#include <string>

#include "agent/discovery/hello.h"
#include "base/clock.h"
#include "base/socket_address.h"
#include "relay/setup.h"

namespace relay::agent {

// A neighbour on one of this node's ports: both sides hear each other.
struct Adjacent {
  std::string near_port;  // interface; empty for a routed one until the kernel says which way it leaves
  PortName far;
  uint64_t far_incarnation = 0;
  std::string far_name;        // of the host
  SocketAddress far_address;   // where its hellos come from, with scope; port: its agent's TCP port
  SocketAddress near_address;  // where they come to
  bool routed = false;
  uint32_t longest = 0;  // IP packets of so many bytes leave its port at most, as far as it tries
  uint32_t passes = 0;   // and of so many bytes arrive here at most; 0: all, as far as is known
};
bool operator==(const Adjacent& a, const Adjacent& b);

// How a link ended, as seen from here. Circuits over it end with it where bytes can no longer cross it.
struct Loss {
  enum class Cause : uint8_t {
    kPort,         // the own port has no carrier or is gone
    kHostSilent,   // nothing comes from the other host any more
    kAgentSilent,  // its agent says nothing any more, but its host answers: what other processes hold there goes on
    kEnded,        // its agent has ended or was replaced: so do they
    kOther,        // one of the two agents does not want it, or no longer hears the other
  };
  Cause cause = Cause::kOther;
  std::string why;     // for the log
  Duration silence{};  // of kHostSilent and kAgentSilent, where it was measured
};

}  // namespace relay::agent
