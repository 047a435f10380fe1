// The pieces of memory of one work request, as verbs have them. Sources of this folder only.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>

#include "transport/rdma/verbs.h"
#include "transport/rdma/work.h"

namespace relay::transport::rdma {

struct FilledPieces {
  int pieces = 0;
  uint64_t bytes = 0;
};

// Into the places of one work request; what is empty is left out.
inline FilledPieces FillPieces(std::span<ibv_sge> to, std::span<const Piece> pieces) {
  FilledPieces filled;
  for (const Piece& piece : pieces.first(std::min(pieces.size(), to.size()))) {
    if (piece.bytes == 0) continue;
    to[static_cast<size_t>(filled.pieces++)] = {reinterpret_cast<uint64_t>(piece.data), piece.bytes, piece.local_key};
    filled.bytes += piece.bytes;
  }
  return filled;
}

}  // namespace relay::transport::rdma
