// Puts bytes where a GPU may already be polling for them.
#pragma once
#include <cstddef>

namespace relay::stream {

// Copies n bytes in ascending order, by aligned 8-byte stores wherever `to` allows, each with release ordering: NCCL's
// LL protocol polls 4-byte flags inside 8-byte words of the payload and must never see a flag before its data. A plain
// memcpy, or a receive straight into the buffer, promises neither on arm64.
void PlaceInOrder(std::byte* to, const std::byte* from, size_t n);

}  // namespace relay::stream
