// Who is heard on which port, and who hears us there: the two-way check, without I/O. One thread.
#pragma once
#include <compare>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/socket_address.h"
#include "fabric/link_state.h"
#include "relay/setup.h"

namespace relay::agent {

// One port of one node, as hellos name it.
struct PortName {
  NodeId node = 0;
  std::string port;
  auto operator<=>(const PortName&) const = default;
};

// One datagram, to everyone on a wire (multicast) or to one address (routed).
struct Hello {
  NodeId node = 0;
  uint64_t incarnation = 0;
  uint64_t sequence = 0;        // of this incarnation: grows with every hello, whatever the port (replay guard)
  std::string name;             // the host's
  std::string port;             // the interface that it leaves by
  uint16_t agent_port = 0;      // TCP
  bool answer_wanted = false;   // the sender has just come up or has just heard somebody new
  bool leaving = false;         // the agent ends: forget it
  uint8_t ttl = 255;            // as sent: what is missing on arrival are routers on the way
  std::vector<PortName> heard;  // on this port, lately: the receiver finds itself here once it is heard
};

// Ports heard on one wire that a hello may name. The longest hello is thus about 6 KiB with kernel interface names:
// IP fragments on a crowded LAN, one frame on a cable.
inline constexpr size_t kMaxHeard = 256;
inline constexpr size_t kMaxHelloBytes = size_t{32} * 1024;

// Longer names and lists are cut.
std::vector<std::byte> EncodeHello(const Hello& hello, const fabric::Mac& mac);
// The same with the proof that `seal` gives for everything before it.
using SealHook = std::function<fabric::Mac(std::span<const std::byte>)>;
std::vector<std::byte> SealHello(const Hello& hello, const SealHook& seal);
struct SealedHello {
  Hello hello;
  fabric::Mac mac{};
  size_t sealed_bytes = 0;  // the first so many are what the MAC covers
};
// Refuses another version, what is out of bounds, names that are none, and bytes left over.
Result<SealedHello> DecodeHello(std::span<const std::byte> bytes);

// A neighbour on one of this node's ports: both sides hear each other.
struct Adjacent {
  std::string near_port;  // interface; empty for a routed one until the kernel says which way it leaves
  PortName far;
  uint64_t far_incarnation = 0;
  std::string far_name;        // of the host
  SocketAddress far_address;   // where its hellos come from, with scope; port: its agent's TCP port
  SocketAddress near_address;  // where they come to
  bool routed = false;
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
