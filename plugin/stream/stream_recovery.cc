// How a stream gets from one circuit to the next, and when it gives up.
#include <cerrno>

#include "base/log.h"
#include "stream/service_thread.h"
#include "stream/stream.h"

namespace relay::stream {
namespace {

// Circuits in a row over which nothing got through. A link that flaps costs one each time; what costs more is no
// trouble of the path.
constexpr uint64_t kMostFruitless = 64;

}  // namespace

// What the peer should not have sent, or what the ranks disagree about, is the same on every path.
bool Stream::MayRecoverFrom(const Error& error) const {
  if (!recovers_ || fruitless_ > kMostFruitless) return false;
  if (error.code != ErrorCode::kRemote && error.code != ErrorCode::kSystem) return false;
  return circuit_->broken() || end_->lane_broken();
}

void Stream::Lose(Error error) {
  loss_ = Peer() + ": " + error.what;
  hung_up_ = error.sys_errno == ENOTCONN || error.sys_errno == ECONNRESET || error.sys_errno == EPIPE;
  trouble_.clear();
  // While another is being opened beside it, its end may be the peer's answer.
  if (!replacing_) {
    RELAY_INFO("%s; another circuit is looked for", loss_.c_str());
    Add(counters_.circuits_lost);
  }
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
  const bool fruitless = requests_.outstanding() && Reached() == reached_before_;
  fruitless_ = fruitless ? fruitless_ + 1 : 0;
  reached_before_ = Reached();
  ping_due_ = pong_due_ = doubted_ = soon_ = false;
  closing_.On(Closing::Event::kCircuit);
  trouble_.clear();
  if (service_ != nullptr) service_->TakeOver(*this);
}

void Stream::Replacing(bool replacing) {
  const Turn turn(*this);
  replacing_ = replacing;
}

void Stream::Warn(const std::string& sentence) {
  const Turn turn(*this);
  warning_ = sentence;
  if (!circuit_) return;
  RELAY_INFO("%s: %s", Peer().c_str(), sentence.c_str());
  silence_.Warn(circuit_->name().epoch);
  soon_ = true;
  if (service_ != nullptr) service_->TakeOver(*this);
}

void Stream::NoteTrouble(std::string sentence) {
  const Turn turn(*this);
  trouble_ = std::move(sentence);
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

std::string Stream::WhyOver() const {
  const std::string after = SecondsText(options_.recover_timeout) + " (NCCL_RELAY_RECOVER_TIMEOUT)";
  const std::string last = warning_.empty() ? "" : "; the last event on the way: " + warning_;
  if (circuit_) {
    return "no sign of life for " + after + ": a node or cable on " + place_.over + " is stopped or cut" +
           (trouble_.empty() ? "" : ", and there is no other way: " + trouble_) + last;
  }
  const std::string why = trouble_.empty() ? "no circuit came in its place" : trouble_;
  return "no other way within " + after + ": " + why + "; it was lost because " + loss_ + last;
}

Silence::Verdict Stream::Judge(TimePoint now) {
  const Silence::Verdict verdict = silence_.Judge(
      now, {circuit_ ? int64_t{circuit_->name().epoch} : Silence::kNone, requests_.outstanding(), Moved(), answers_});
  if (verdict.over) {
    Break({ErrorCode::kRemote, 0, WhyOver()});
  } else if (verdict.ping && circuit_) {
    ping_due_ = true;
    Drive(/*receive=*/true);
  }
  return verdict;
}

}  // namespace relay::stream
