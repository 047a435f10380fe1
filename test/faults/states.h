// The states of a connection that a fault may meet, and the faults.
#pragma once
#include <string>
#include <vector>

#include "faults/connection.h"

namespace relay::faults {

enum class State : uint8_t {
  kSetUp,        // queue pairs are made and not connected
  kIdle,         // connected
  kReceive,      // posted, no send
  kSend,         // posted, no receive
  kUnderWay,     // a message of several segments, some of them done
  kAllInFlight,  // all requests that a connection has
  kZeroBytes,    // a message without bytes is under way
  kCancelled,    // the receive of a later message was
  kClosing,      // one side: CLOSE is sent, its lane still there
  kRemnant,      // one side has closed, the other not heard of it
};
inline constexpr State kStates[] = {State::kSetUp,    State::kIdle,        State::kReceive,   State::kSend,
                                    State::kUnderWay, State::kAllInFlight, State::kZeroBytes, State::kCancelled,
                                    State::kClosing,  State::kRemnant};
inline constexpr const char* kStateNames[] = {"set-up", "idle", "receive", "send",    "under way",
                                              "all 32", "zero", "cancel",  "closing", "remnant"};

// Into the state; false: it was not reached.
bool Reach(Connection& connection, State state);
// What is missing on the other side, where something is.
void Complete(Connection& connection, State state);

struct Fault {
  enum class Kind : uint8_t { kCompletion, kPairEvent, kPortEvent, kPortBlink, kPortDown, kUnplug };
  Kind kind{};
  int value = 0;  // ibv_wc_status or ibv_event_type
  std::string name = {};
  // What it must come to: an error with a sentence for every request, or nothing that anybody notices.
  enum class Outcome : uint8_t { kEnds, kGoesOn } outcome = Outcome::kEnds;
};
// Every bad status of a completion and every asynchronous event that the header knows.
std::vector<Fault> AllFaults();

// At this device. False: nothing of the connection is there that it could happen to.
bool Inject(Connection& connection, const std::string& device, const Fault& fault);

}  // namespace relay::faults
