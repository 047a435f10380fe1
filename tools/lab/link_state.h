// What faults make of one end of a cable, and the commands that make it so. Pure.
#pragma once
#include <cstdint>
#include <string>

#include "lab/plan.h"

namespace relay::lab {

struct LinkState {
  bool cut = false;        // the interface is down
  bool drop = false;       // what it sends is swallowed
  uint32_t rate_kbit = 0;  // of what it sends; 0: unshaped
  uint32_t loss_ppm = 0;   // of what it sends, lost on the way
  uint32_t mtu = 1500;
  uint32_t longest = 0;  // IP packet of what it sends that passes; 0: all
  bool operator==(const LinkState&) const = default;
};

// As the lab built it.
LinkState BuiltState(const Plan& plan, const fabric::LinkEnd& end);

struct LinkChange {
  fabric::LinkEnd end;
  LinkState from, to;
};
// Batches, empty when there is nothing to do: for ip(8) and tc(8) in the end's node, and for nft(8) in the node at the
// other end, which loses what it should have received.
std::string IpCommands(const Plan& plan, const LinkChange& change);
std::string TcCommands(const Plan& plan, const LinkChange& change);
std::string NftCommands(const Plan& plan, const LinkChange& change);

}  // namespace relay::lab
