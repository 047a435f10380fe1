// How a connection is closed: by this end's caller, and by the peer's CLOSE. Pure.
//
//      open ------peer closes-----> peer closed
//       |                                |
//  caller closes                    caller closes
//       v                                v
//    remnant -----peer closes-----> both closed <---+
//       |                                |          |
//       +-- peer gone, or a deadline ----+     peer closes
//                       v                           |
//                   abandoned ----------------------+
//
// This end says CLOSE when one of the two has closed, once on each circuit: not due -> due -> sent.
#pragma once
#include <optional>

#include "base/clock.h"

namespace relay::stream {

class Closing {
 public:
  enum class State : uint8_t { kOpen, kPeerClosed, kRemnant, kBothClosed, kAbandoned };
  enum class Own : uint8_t { kNotDue, kDue, kSent };
  enum class Event : uint8_t {
    kCallerCloses,
    kCallerTold,  // it went on posting, and knows now that the peer has closed
    kPeerCloses,  // its CLOSE has come
    kPeerGone,    // its process is no more
    kSent,        // this end's CLOSE is queued
    kCircuit,     // another circuit takes the place of the last
    kReached,     // time has passed: the peer is reached, or may be soon
    kUnreached,   // time has passed: no way leads to it
  };

  // `linger`: a remnant's deadline.
  explicit Closing(Duration linger) : linger_(linger) {}

  // The only way to change it. `now`: of kReached and kUnreached.
  State On(Event event, TimePoint now = {}) {
    switch (event) {
      case Event::kCallerCloses:
        if (!closed()) state_ = state_ == State::kPeerClosed ? State::kBothClosed : State::kRemnant;
        if (own_ != Own::kSent) own_ = Own::kDue;
        break;
      case Event::kPeerCloses:
        state_ = closed() ? State::kBothClosed : State::kPeerClosed;
        // Nothing can come any more: the peer need not wait for the caller.
        if (own_ != Own::kSent) own_ = Own::kDue;
        break;
      case Event::kPeerGone:
        if (closed()) state_ = State::kAbandoned;
        break;
      case Event::kSent:
        own_ = Own::kSent;
        break;
      case Event::kCircuit:
        own_ = closed() ? Own::kDue : Own::kNotDue;
        break;
      case Event::kCallerTold:
        told_ = true;
        break;
      case Event::kReached:
        reached_at_ = now;
        [[fallthrough]];
      case Event::kUnreached:
        if (!closed()) break;
        if (!closed_at_) closed_at_ = now;
        if (now - *closed_at_ > linger_ || now - reached_at_ > kUnreachedRemnant) state_ = State::kAbandoned;
    }
    return state_;
  }

  State state() const { return state_; }
  // By the caller: what is left is a remnant.
  bool closed() const {
    return state_ == State::kRemnant || state_ == State::kBothClosed || state_ == State::kAbandoned;
  }
  bool peer_closed() const { return state_ == State::kPeerClosed || state_ == State::kBothClosed; }
  bool abandoned() const { return state_ == State::kAbandoned; }
  bool told() const { return told_; }
  bool due() const { return own_ == Own::kDue; }
  // Both have said CLOSE: the circuit is of no further use.
  bool settled() const { return own_ == Own::kSent && peer_closed(); }
  // `owes_answer`: without a circuit, this end still owes the peer one.
  //
  // A circuit that ends is no loss.
  bool SaidAll(bool owes_answer) const { return peer_closed() || (closed() && own_ == Own::kSent && !owes_answer); }
  // The peer may still need this end, or this end the peer.
  bool NeedsPeer(bool owes_answer) const {
    return state_ == State::kOpen || (state_ == State::kRemnant && owes_answer);
  }

 private:
  // Whoever still needs the answer of a remnant that no way leads to does not find it either.
  static constexpr Duration kUnreachedRemnant = std::chrono::seconds(3);

  const Duration linger_;
  State state_ = State::kOpen;
  Own own_ = Own::kNotDue;
  bool told_ = false;
  std::optional<TimePoint> closed_at_;
  TimePoint reached_at_{};
};

}  // namespace relay::stream
