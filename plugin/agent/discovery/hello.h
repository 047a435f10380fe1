// The hello: what an agent says of itself on each port, and its codec. Pure.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fabric/link_state.h"
#include "relay/fabric.h"
#include "relay/result.h"

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
  uint64_t sequence = 0;       // of this incarnation: grows with every hello, whatever the port (replay guard)
  std::string name;            // the host's
  std::string port;            // the interface that it leaves by
  uint16_t agent_port = 0;     // TCP
  bool answer_wanted = false;  // the sender has just come up or has just heard somebody new
  bool leaving = false;        // the agent ends: forget it
  uint8_t ttl = 255;           // as sent: what is missing on arrival are routers on the way
  uint32_t longest = 0;        // IP packets of so many bytes leave this port, padded, to see whether they pass; 0: none
  uint32_t rounds = 0;         // of such packets that have left it, this one's included
  bool padded = false;         // this is one of them: it names nobody whom it has heard
  size_t bytes = 0;            // of the datagram, at least so many when it is encoded: the rest is padding
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

}  // namespace relay::agent
