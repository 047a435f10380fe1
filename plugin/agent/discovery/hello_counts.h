// What became of hellos: one counter for each way to be refused.
#pragma once
#include <cstdint>

namespace relay::agent {

struct HelloCounts {
  uint64_t sent = 0;                    // per address family
  uint64_t send_failed = 0;             // the kernel refused
  uint64_t received = 0;                // accepted; a copy over another family or port counts too
  uint64_t refused_ttl = 0;             // multicast from beyond a router
  uint64_t refused_bytes = 0;           // no hello, or another version's
  uint64_t refused_wrong_key = 0;       // a proof that the key does not confirm, or that no key here can
  uint64_t refused_no_key = 0;          // no proof where this node has a key
  uint64_t refused_replay = 0;          // older than what its node has said, or said before
  uint64_t refused_stranger = 0;        // by unicast, from an address that this node has no reason to answer
  uint64_t refused_through_fabric = 0;  // routed adjacencies whose way leads through a node of the own fabric
  uint64_t own = 0;                     // came back: a cable or a switch joins two ports of this node
  uint64_t contested = 0;               // another machine uses this node's id
  uint64_t crowded = 0;                 // more ports on one wire than a hello can name
};

}  // namespace relay::agent
