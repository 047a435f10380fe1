// Work for a queue pair, and what comes back of it. Value types.
#pragma once
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace relay::transport::rdma {

struct Depths {
  uint32_t sends = 64, receives = 64;               // work requests outstanding
  uint32_t pieces = 2;                              // of one work request
  uint32_t inline_bytes = 64;                       // asked for; inline_bytes() says what there is
  Duration hop_timeout = std::chrono::seconds(10);  // silence of the other side after which the hop is dead
};

// Registered memory here. The key is not looked at where the bytes go inline.
struct Piece {
  const void* data = nullptr;
  uint32_t bytes = 0;
  uint32_t local_key = 0;
};

// Registered memory on the other side.
struct Remote {
  uint64_t address = 0;
  uint32_t key = 0;
};

enum class Work : uint8_t { kWrite, kSend, kRead, kReceive };

struct Completion {
  uint64_t id = 0;  // as posted
  Work work{};
  uint32_t bytes = 0;                 // kReceive: of the message or of the write that the immediate came with
  std::optional<uint32_t> immediate;  // kReceive
};

struct SendOptions {
  bool signaled = true;  // false: no completion; a later one tells that this is done too
  // At most inline_bytes(): copied at Ring(), so the memory is free again and needed no registration. More: by its key,
  // as if this were not set.
  bool inlined = false;
  bool solicited = false;  // wakes an other side that armed for solicited work only
  std::optional<uint32_t> immediate = {};
};

struct WorkCounts {
  uint64_t posted_sends = 0;     // work requests, of all kinds but receives
  uint64_t posted_receives = 0;  // work requests
  uint64_t doorbells = 0;        // chains of sends handed to the device
  uint64_t receive_doorbells = 0;
  uint64_t completions = 0;
  uint64_t events = 0;  // wakings by the completion channel
};

}  // namespace relay::transport::rdma
