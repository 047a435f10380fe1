// How a stream gets from one circuit to the next, and when it gives up.
#include <cerrno>

#include "base/log.h"
#include "stream/service_thread.h"
#include "stream/stream.h"

namespace relay::stream {

// What the peer should not have sent, or what the ranks disagree about, is the same on every path.
bool Stream::MayRecoverFrom(const Error& error) const {
  if (!recovers_ || outage_.exhausted()) return false;
  if (error.code != ErrorCode::kRemote && error.code != ErrorCode::kSystem) return false;
  return circuit_->broken() || end_->lane_broken();
}

void Stream::Lose(Error error) {
  std::string sentence = Peer() + ": " + error.what;
  // While another is being opened beside it, its end may be the peer's answer.
  if (!outage_.replacing()) {
    RELAY_INFO("%s; another circuit is looked for", sentence.c_str());
    Add(counters_.circuits_lost);
  }
  outage_.On(Outage::Lost{.sentence = std::move(sentence), .sys_errno = error.sys_errno});
  Drop();
  if (service_ != nullptr) service_->TakeOver(*this);
}

void Stream::Take(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<Carrier> end, Place place,
                  const OnTaken& on_taken) {
  circuit_ = std::move(circuit);
  end_ = std::move(end);
  place_ = std::move(place);
  if (on_taken) on_taken();
  for (uint64_t m = requests_.finished(); keys_of_ && m != requests_.posted(); ++m) {
    requests_.Of(m).keys = keys_of_(requests_.Of(m).region);
  }
  ping_due_ = pong_due_ = false;
  outage_.On(Outage::Taken{.reached = Reached(), .outstanding = requests_.outstanding()});
  closing_.On(Closing::Event::kCircuit);
  if (service_ != nullptr) service_->TakeOver(*this);
}

void Stream::Replacing(bool replacing) {
  const Turn turn(*this);
  outage_.On(Outage::Replacing{replacing});
}

void Stream::Warn(const std::string& sentence) {
  const Turn turn(*this);
  outage_.On(Outage::Warned{sentence});
  if (!circuit_) return;
  RELAY_INFO("%s: %s", Peer().c_str(), sentence.c_str());
  silence_.Warn(circuit_->name().epoch);
  if (service_ != nullptr) service_->TakeOver(*this);
}

void Stream::NoteTrouble(std::string sentence) {
  const Turn turn(*this);
  outage_.On(Outage::NoOther{std::move(sentence)});
}

void Stream::PeerLives() {
  const Turn turn(*this);
  silence_.Alive();
}

void Stream::PeerGone(const std::string& sentence) {
  const Turn turn(*this);
  closing_.On(Closing::Event::kPeerGone);
  if (closing_.closed()) {
    Drop();
  } else {
    Break({ErrorCode::kRemote, 0, sentence});
  }
}

void Stream::GiveUp(Error error) {
  const Turn turn(*this);
  if (!circuit_) Break(std::move(error));
}

// Somebody waits for what only the peer can give.
bool Stream::Waits() const {
  if (failure_) return false;
  return requests_.outstanding() || (closing_.closed() && closing_.NeedsPeer(OwesAnswer()));
}

void Stream::Judge(TimePoint now) {
  const Silence::Verdict verdict = silence_.Judge(
      now, {circuit_ ? int64_t{circuit_->name().epoch} : Silence::kNone, requests_.outstanding(), Moved(), answers_});
  if (verdict.over) {
    Break({ErrorCode::kRemote, 0, outage_.WhyOver(place_.over, options_.recover_timeout)});
  } else if (verdict.ping && circuit_) {
    ping_due_ = true;
    Drive(/*receive=*/true);
  }
  outage_.On(Outage::Judged{.doubt = verdict.doubt, .soon = verdict.soon});
}

}  // namespace relay::stream
