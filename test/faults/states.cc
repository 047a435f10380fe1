#include "faults/states.h"

#include <infiniband/verbs.h>

#include "stream/send_window.h"

namespace relay::faults {
namespace {

constexpr size_t kSegments = 300000;  // bytes of a message of several
constexpr size_t kSmall = 1000;
constexpr Duration kSoon = std::chrono::seconds(5);

using Outcome = Fault::Outcome;

struct EventMeaning {
  ibv_event_type event;
  Fault::Kind kind;
  Outcome outcome;
  const char* name;
};

// What concerns a queue pair that has failed or a device that is gone ends the connection; all else is no failure: it
// either passes, or the next completion says that it did not.
constexpr EventMeaning kEvents[] = {
    {IBV_EVENT_CQ_ERR, Fault::Kind::kPairEvent, Outcome::kEnds, "CQ_ERR"},
    {IBV_EVENT_QP_FATAL, Fault::Kind::kPairEvent, Outcome::kEnds, "QP_FATAL"},
    {IBV_EVENT_QP_REQ_ERR, Fault::Kind::kPairEvent, Outcome::kEnds, "QP_REQ_ERR"},
    {IBV_EVENT_QP_ACCESS_ERR, Fault::Kind::kPairEvent, Outcome::kEnds, "QP_ACCESS_ERR"},
    {IBV_EVENT_COMM_EST, Fault::Kind::kPairEvent, Outcome::kGoesOn, "COMM_EST"},
    {IBV_EVENT_SQ_DRAINED, Fault::Kind::kPairEvent, Outcome::kGoesOn, "SQ_DRAINED"},
    {IBV_EVENT_PATH_MIG, Fault::Kind::kPairEvent, Outcome::kGoesOn, "PATH_MIG"},
    {IBV_EVENT_PATH_MIG_ERR, Fault::Kind::kPairEvent, Outcome::kGoesOn, "PATH_MIG_ERR"},
    {IBV_EVENT_DEVICE_FATAL, Fault::Kind::kPortEvent, Outcome::kEnds, "DEVICE_FATAL"},
    {IBV_EVENT_PORT_ACTIVE, Fault::Kind::kPortEvent, Outcome::kGoesOn, "PORT_ACTIVE"},
    {IBV_EVENT_PORT_ERR, Fault::Kind::kPortBlink, Outcome::kGoesOn, "PORT_ERR, back after a second"},
    {IBV_EVENT_PORT_ERR, Fault::Kind::kPortDown, Outcome::kEnds, "PORT_ERR for good"},
    {IBV_EVENT_LID_CHANGE, Fault::Kind::kPortEvent, Outcome::kGoesOn, "LID_CHANGE"},
    {IBV_EVENT_PKEY_CHANGE, Fault::Kind::kPortEvent, Outcome::kGoesOn, "PKEY_CHANGE"},
    {IBV_EVENT_SM_CHANGE, Fault::Kind::kPortEvent, Outcome::kGoesOn, "SM_CHANGE"},
    {IBV_EVENT_SRQ_ERR, Fault::Kind::kPortEvent, Outcome::kGoesOn, "SRQ_ERR"},  // nobody here has a shared queue
    {IBV_EVENT_SRQ_LIMIT_REACHED, Fault::Kind::kPortEvent, Outcome::kGoesOn, "SRQ_LIMIT_REACHED"},
    {IBV_EVENT_QP_LAST_WQE_REACHED, Fault::Kind::kPairEvent, Outcome::kGoesOn, "QP_LAST_WQE_REACHED"},
    {IBV_EVENT_CLIENT_REREGISTER, Fault::Kind::kPortEvent, Outcome::kGoesOn, "CLIENT_REREGISTER"},
    {IBV_EVENT_GID_CHANGE, Fault::Kind::kPortEvent, Outcome::kGoesOn, "GID_CHANGE"},
    {IBV_EVENT_WQ_FATAL, Fault::Kind::kPortEvent, Outcome::kGoesOn, "WQ_FATAL"},  // nor work queues of their own
};

bool CarryOne(Connection& c) {
  c.Receive(kSmall);
  c.Send(kSmall);
  return c.TurnUntil([&] { return c.AllEnded(); }, kSoon);
}

// The sender is done and says so; the receiver has not looked yet.
bool CloseSender(Connection& c) {
  c.Receive(kSmall);
  c.Settle();
  c.Send(kSmall);
  // Through relays, the sender is done once the receiver has said that it is.
  if (c.chain.relays.empty()) c.stalled = &c.receiver;
  for (int turn = 0; turn < 100 && !c.sender.posted.back().done; ++turn) c.Turn();
  c.Close(c.sender);
  c.stalled = &c.receiver;
  return c.sender.posted.back().done;
}

bool PostAll(Connection& c) {
  for (uint64_t i = 0; i < kMaxRequests; ++i) c.Receive(kSmall);
  for (uint64_t i = 0; i < kMaxRequests; ++i) c.Send(kSmall);
  for (int turn = 0; turn < 4; ++turn) c.Turn();
  return !c.AllEnded();
}

bool SendSegments(Connection& c) {
  c.Receive(kSegments);
  c.Settle();
  const uint64_t before = c.chain.verbs.traffic().bytes;
  c.Send(kSegments);
  for (int turn = 0; turn < 100 && c.chain.verbs.traffic().bytes < before + kSegments / 3; ++turn) c.Turn();
  return !c.AllEnded() && c.chain.verbs.traffic().bytes > before;
}

bool CancelLater(Connection& c) {
  int later = 0;
  c.Receive(kSegments);
  c.Receive(kSmall, &later);
  c.Settle();
  c.Send(kSegments);
  c.Turn();
  c.Cancel(c.receiver, &later);
  return !c.receiver.posted[1].error.empty();
}

}  // namespace

bool Reach(Connection& c, State state) {
  if (state == State::kSetUp) return true;
  c.Settle();
  switch (state) {
    case State::kSetUp:
    case State::kIdle:
      return true;
    case State::kReceive:
      c.Receive(kSmall);
      c.Settle();
      return !c.AllEnded();
    case State::kSend:
      c.Send(kSmall);
      c.Settle();
      return !c.AllEnded();
    case State::kUnderWay:
      return SendSegments(c);
    case State::kAllInFlight:
      return PostAll(c);
    case State::kZeroBytes:
      c.Receive(kSmall);
      c.Settle();
      c.Send(0);
      return !c.AllEnded();
    case State::kCancelled:
      return CancelLater(c);
    case State::kClosing:
      return CloseSender(c);
    case State::kRemnant:
      if (!CarryOne(c)) return false;
      c.Close(c.receiver);
      c.stalled = &c.sender;
      c.Turn();
      return !c.receiver.attention.finished;
  }
  return false;
}

void Complete(Connection& c, State state) {
  if (state == State::kSetUp || state == State::kIdle || state == State::kSend) c.Receive(kSmall);
  if (state == State::kSetUp || state == State::kIdle || state == State::kReceive) c.Send(kSmall);
}

std::vector<Fault> AllFaults() {
  std::vector<Fault> faults;
  for (int status = IBV_WC_SUCCESS + 1; status <= IBV_WC_TM_RNDV_INCOMPLETE; ++status) {
    faults.push_back({Fault::Kind::kCompletion, status, "status " + std::to_string(status)});
  }
  for (const EventMeaning& event : kEvents) faults.push_back({event.kind, event.event, event.name, event.outcome});
  faults.push_back({Fault::Kind::kUnplug, 0, "the driver lets go"});
  return faults;
}

bool Inject(Connection& c, const std::string& device, const Fault& fault) {
  fake::FakeVerbs& verbs = c.chain.verbs;
  const auto pairs = verbs.queue_pairs(device);
  if (pairs.empty()) return false;
  const auto status = static_cast<ibv_wc_status>(fault.value);
  const auto event = static_cast<ibv_event_type>(fault.value);
  switch (fault.kind) {
    case Fault::Kind::kCompletion:
      if (verbs.outstanding(pairs.front())) return verbs.FailNow(pairs.front(), status);
      verbs.FailNext(pairs.front(), status);
      verbs.FailNext(pairs.front(), status, true);
      return true;
    case Fault::Kind::kPairEvent:
      verbs.RaisePairEvent(pairs.front(), event);
      return true;
    case Fault::Kind::kPortEvent:
      verbs.RaisePortEvent({device}, event);
      return true;
    case Fault::Kind::kPortBlink:
      verbs.SetPort({device}, false);
      for (int turn = 0; turn < 4; ++turn) c.Turn();
      verbs.SetPort({device}, true);
      return true;
    case Fault::Kind::kPortDown:
      verbs.SetPort({device}, false);
      return true;
    case Fault::Kind::kUnplug:
      verbs.Unplug(device);
      return true;
  }
  return false;
}

}  // namespace relay::faults
