// How the TCP socket of a hop between two neighbours is set.
#pragma once
#include "base/clock.h"
#include "relay/result.h"

namespace relay::transport::tcp {

struct HopOptions {
  Duration hop_timeout = std::chrono::seconds(10);  // silence of the other kernel after which the hop is dead
  uint32_t packet =
      0;  // IP packets of so many bytes at most come from the other side; 0: as the interface's MTU allows
};

// Small frames leave at once; a dead neighbour is noticed within about hop_timeout, idle or not. The socket's buffers
// stay with the kernel, which tunes them to the link. The options stay with the socket when it is handed over.
Status PrepareSocket(int fd, const HopOptions& options);
// The other side of this socket, or of whatever this listener accepts from now on, sends no longer packets
// (HopOptions). Before it dials: the limit is said with the first packet.
Status LimitPackets(int fd, uint32_t packet);

}  // namespace relay::transport::tcp
