// One isend or irecv. Lives in its stream's ring, guarded by the stream's lock; NCCL holds its address until test()
// says done, fails, or the comm is closed.
#pragma once
#include <cstddef>
#include <cstdint>

#include "relay/lane.h"

namespace relay::stream {

class Stream;

struct Request {
  enum class State : uint8_t { kFree, kPosted, kDone };

  Stream* stream = nullptr;  // never changes
  State state = State::kFree;
  bool in_order = false;         // receive: the reader may be polling flags inside the payload
  std::byte* data = nullptr;     // the caller's; touched only while kPosted
  const void* region = nullptr;  // the registration it lies in, for deregMr
  transport::StripeKeys keys{};  // and what its devices call it
  uint64_t size = 0;             // send: bytes of the message; receive: capacity, then the bytes that came
  uint64_t message = 0;
};

// What isend and irecv say about the caller's buffer.
struct Buffer {
  std::byte* data = nullptr;
  uint64_t size = 0;
  const void* region = nullptr;
  transport::StripeKeys keys{};
};

}  // namespace relay::stream
