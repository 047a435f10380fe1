// NCCL_RELAY_PEERS: "host[:port],...", hosts by name or address, IPv6 addresses with a port in brackets. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "relay/result.h"

namespace relay::agent {

struct PeerName {
  std::string host;       // a name to look up; empty when `address` says all
  SocketAddress address;  // with its port
  uint16_t port = 0;
};

struct PeerList {
  std::vector<PeerName> peers;
  std::vector<std::string> mistakes;  // one sentence for each entry that is none
};

inline constexpr size_t kMostListedPeers = 256;

PeerList ParsePeers(std::string_view text, uint16_t default_port);

}  // namespace relay::agent
