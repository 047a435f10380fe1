// The share of a collective that one channel works on, and the pieces in which it does.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstddef>

#include "emulation/layout.h"

namespace fakecuda {

struct Share {   // in elements
  size_t total;  // over all channels
  size_t start, count, chunk;
};

Share ShareOf(const CollectiveWork& work, int channel_id, int protocol, size_t element_bytes);

// A piece of a share that all ranks handle in one round.
struct Piece {
  ssize_t start, count;
};

template <class Body>
void ForEachPiece(const Share& share, Body body) {
  for (size_t done = 0; done < share.count; done += share.chunk)
    body(Piece{static_cast<ssize_t>(share.start + done),
               static_cast<ssize_t>(std::min(share.chunk, share.count - done))});
}

}  // namespace fakecuda
