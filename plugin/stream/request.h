// The isends or irecvs of one end of a connection. Guarded by the stream's lock.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/lane.h"

namespace relay::stream {

class Stream;

// NCCL holds its address until test() says done, fails, or the comm is closed.
struct Request {
  enum class State : uint8_t { kFree, kPosted, kDone };

  Stream* stream = nullptr;  // never changes
  State state = State::kFree;
  bool in_order = false;         // receive: the reader may be polling flags inside the payload
  std::byte* data = nullptr;     // the caller's; touched only while kPosted
  const void* region = nullptr;  // the registration it lies in, for deregMr
  transport::StripeKeys keys{};  // and what the devices of the present circuit call it
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

// Messages are numbered from 0 in the order of Post, and finish in that order.
class Requests {
 public:
  explicit Requests(Stream& stream) { Reset(stream); }

  uint64_t posted() const { return posted_; }      // messages posted so far
  uint64_t finished() const { return finished_; }  // messages below are done, failed or cancelled
  bool outstanding() const { return finished_ != posted_; }
  Request& Of(uint64_t message) { return ring_[message % kMaxRequests]; }

  // nullptr: none is free.
  Request* Post(const Buffer& buffer, bool in_order) {
    Request& request = Of(posted_);
    if (request.state != Request::State::kFree) return nullptr;
    request.state = Request::State::kPosted;
    request.in_order = in_order;
    request.data = buffer.data;
    request.size = buffer.size;
    request.region = buffer.region;
    request.keys = buffer.keys;
    request.message = posted_++;
    return &request;
  }
  void Finish(Request& request, uint64_t size) {
    request.size = size;
    request.state = Request::State::kDone;
    request.data = nullptr;
    ++finished_;
  }
  // What is outstanding never finishes.
  void CancelAll() { finished_ = posted_; }
  // The caller holds none any more.
  void Reset(Stream& stream) { ring_.fill({.stream = &stream}); }

 private:
  std::array<Request, kMaxRequests> ring_;
  uint64_t posted_ = 0;
  uint64_t finished_ = 0;
};

}  // namespace relay::stream
