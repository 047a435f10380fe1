// Where the sending of a connection's messages stands, over all its circuits, one after the other. Pure.
//
//   Begin --> sending                    on the connection's first circuit
//   Begin --> waiting --OnResume--> sending    on every later one: nothing leaves before the receiver has said what it
//   holds
//
// Messages are replayed from the first that the receiver does not hold whole, and that one from the byte where its
// segments end. Their buffers are still the caller's, unchanged: nothing is done before the receiver holds it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "relay/frame.h"
#include "stream/send_window.h"

namespace relay::stream {

class SendLedger {
 public:
  // `eager_bytes` as for SendWindow.
  void Begin(uint64_t eager_bytes, bool resumes) {
    eager_bytes_ = eager_bytes;
    window_ = SendWindow(eager_bytes, window_.placed());
    sending_ = done_;
    offset_ = 0;
    ready_ = !resumes;
  }
  bool ready() const { return ready_; }
  // Messages below are whole over there.
  uint64_t done() const { return done_; }
  // The next to begin, or to go on with.
  uint64_t sending() const { return sending_; }
  SendWindow& window() { return window_; }
  const SendWindow& window() const { return window_; }

  // RESUME. `size_of_held`: of message `resume.message`; 0 where it is not posted.
  Status OnResume(const FrameHeader& resume, uint64_t size_of_held) {
    const uint64_t held = resume.message, placed = resume.extra;
    const bool known = held >= done_ && held <= reached_ && placed >= window_.placed() && placed <= held &&
                       held - placed <= kEagerMessages;
    // A receiver names bytes of a message only while it lacks others of it.
    const bool fits = resume.offset == 0 || (held < reached_ && resume.offset < size_of_held);
    if (ready_ || !known || !fits) {
      return Fail(ErrorCode::kRemote, "RESUME at message " + std::to_string(held) + " byte " +
                                          std::to_string(resume.offset) + " where " + std::to_string(done_) + " to " +
                                          std::to_string(reached_) + " were sent: the peer breaks the protocol");
    }
    window_ = SendWindow(eager_bytes_, placed);
    done_ = sending_ = held;
    offset_ = resume.offset;
    ready_ = true;
    return {};
  }

  struct Segment {
    uint64_t message, offset, length;
    bool last;
  };
  // What goes next of a message of `size` bytes, sending(), if it may.
  std::optional<Segment> Next(uint64_t size, uint64_t longest) const {
    if (!ready_ || !window_.MayStart(sending_, size)) return std::nullopt;
    const uint64_t length = std::min(longest, size - offset_);
    return Segment{sending_, offset_, length, offset_ + length == size};
  }
  void Started(const Segment& segment) {
    reached_ = std::max(reached_, segment.message + 1);
    offset_ = segment.last ? 0 : segment.offset + segment.length;
    if (segment.last) ++sending_;
  }
  // Over a lane: messages below are with its devices, those below `done` whole over there.
  void OnLane(uint64_t started, uint64_t done) {
    reached_ = std::max(reached_, started);
    sending_ = started;
    done_ = done;
    window_ = SendWindow(eager_bytes_, done);
  }

  // `pending`: bytes of the last segment are still to be handed to the kernel. A message of which a byte is still ours
  // to send cannot be whole over there.
  Status OnAck(uint64_t placed, bool pending) {
    const bool cutting = pending && offset_ == 0;
    RELAY_TRY(window_.OnAck(placed, cutting ? sending_ - 1 : sending_));
    done_ = std::max(done_, placed);
    return {};
  }

 private:
  uint64_t eager_bytes_ = 0;
  SendWindow window_{0};
  bool ready_ = false;
  uint64_t done_ = 0;
  uint64_t sending_ = 0, offset_ = 0;  // the message being cut; those below are with the kernel or in the circuit
  uint64_t reached_ = 0;               // messages below have, at least in part, been handed to some circuit
};

}  // namespace relay::stream
