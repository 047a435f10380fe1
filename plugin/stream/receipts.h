// What has come of a connection's messages, over all its circuits, one after the other. Pure: where the bytes go is the
// inbox's business.
//
// One circuit brings messages in order and their segments without gaps, and every later circuit begins where Resume
// says. What comes again all the same is told apart before a byte of it is placed: the buffer may hold another message
// by then.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "relay/frame.h"
#include "stream/send_window.h"

namespace relay::stream {

class Receipts {
 public:
  enum class Verdict : uint8_t { kTake, kDuplicate };

  // Messages below have come whole.
  uint64_t held() const { return held_; }
  // Messages below are in the buffers of their receives.
  uint64_t placed() const { return placed_; }
  // Bytes of message held() that are there.
  uint64_t received() const { return coming_.received; }
  // How large a message is that has come whole and is not placed, or that is coming.
  uint64_t TotalOf(uint64_t message) const { return message == held_ ? coming_.total : ArrivalOf(message).total; }
  // It is, or goes, to an eager slot, because it began before its receive was posted.
  bool IsEager(uint64_t message) const {
    return message == held_ ? coming_.begun && coming_.eager : message < held_ && ArrivalOf(message).eager;
  }

  // A DATA frame begins. `posted`: receives so far; `eager_bytes`: largest message that is taken before.
  Result<Verdict> OnFrame(const FrameHeader& header, uint64_t posted, uint64_t eager_bytes) {
    if (header.message < held_) return Verdict::kDuplicate;
    if (header.message > held_) {
      return Fail(ErrorCode::kRemote, "DATA of message " + std::to_string(header.message) + " where " +
                                          std::to_string(held_) + " is due: the peer breaks the protocol");
    }
    if (coming_.begun && header.total == coming_.total && header.length != 0 &&
        header.offset + header.length <= coming_.received) {
      return Verdict::kDuplicate;
    }
    if (!coming_.begun) RELAY_TRY(BeginMessage(header, posted, eager_bytes));
    if (header.offset != coming_.received || header.total != coming_.total) {
      return Fail(ErrorCode::kRemote, "DATA out of its place: the peer breaks the protocol");
    }
    return Verdict::kTake;
  }

  // The frame that was to be taken is there, to its last byte. True: its message is whole by it.
  bool OnFrameEnd(const FrameHeader& header) {
    coming_.received += header.length;
    if (coming_.received != coming_.total) return false;
    ArrivalOf(held_) = coming_;
    coming_ = {};
    ++held_;
    return true;
  }

  // The oldest that is whole is in its receive's buffer.
  void OnPlaced() { ++placed_; }
  // A lane has brought message held() whole into its receive's buffer; no message is held elsewhere.
  void OnLane() {
    ++held_;
    placed_ = held_;
  }

  // What the sender has to know before it goes on over another circuit. `whole`: messages only come as wholes there.
  FrameHeader Resume(uint32_t epoch, bool whole) {
    if (whole) coming_ = {};
    return {.type = FrameType::kResume, .message = held_, .offset = coming_.received, .total = epoch, .extra = placed_};
  }

 private:
  struct Arrival {
    uint64_t received = 0;
    uint64_t total = 0;
    bool begun = false;
    bool eager = false;  // its bytes go to an eager slot: its receive was not posted when it began
  };

  Status BeginMessage(const FrameHeader& header, uint64_t posted, uint64_t eager_bytes) {
    const bool eager = header.message >= posted;
    if (eager && (header.message >= posted + kEagerMessages || header.total > eager_bytes)) {
      return Fail(ErrorCode::kRemote, "DATA of message " + std::to_string(header.message) + " (" +
                                          std::to_string(header.total) +
                                          " bytes) without a receive: the peer breaks the protocol");
    }
    coming_ = {.total = header.total, .begun = true, .eager = eager};
    return {};
  }

  const Arrival& ArrivalOf(uint64_t message) const { return arrivals_[message % arrivals_.size()]; }
  Arrival& ArrivalOf(uint64_t message) { return arrivals_[message % arrivals_.size()]; }

  uint64_t held_ = 0, placed_ = 0;
  Arrival coming_;                    // of message held_
  std::array<Arrival, 64> arrivals_;  // of [placed_, held_): posted receives and eager messages beyond them
};

}  // namespace relay::stream
