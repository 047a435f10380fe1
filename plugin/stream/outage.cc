#include "stream/outage.h"

#include <cerrno>

namespace relay::stream {

Outage::State Outage::On(Event event) {
  if (const auto* taken = std::get_if<Taken>(&event)) {
    state_ = State::kOnCircuit;
    soon_ = false;
    no_other_.clear();
    fruitless_ = taken->outstanding && taken->reached == reached_ ? fruitless_ + 1 : 0;
    reached_ = taken->reached;
  } else if (std::holds_alternative<Dropped>(event)) {
    state_ = State::kWithout;
  } else if (auto* lost = std::get_if<Lost>(&event)) {
    state_ = State::kWithout;
    hung_up_ = lost->sys_errno == ENOTCONN || lost->sys_errno == ECONNRESET || lost->sys_errno == EPIPE;
    loss_ = std::move(lost->sentence);
    no_other_.clear();
  } else if (auto* warned = std::get_if<Warned>(&event)) {
    soon_ = soon_ || state_ != State::kWithout;
    warning_ = std::move(warned->sentence);
  } else if (auto* none = std::get_if<NoOther>(&event)) {
    no_other_ = std::move(none->sentence);
  } else if (const auto* replaced = std::get_if<Replacing>(&event)) {
    replacing_ = replaced->replacing;
  } else if (const auto* judged = std::get_if<Judged>(&event)) {
    soon_ = judged->soon;
    if (state_ != State::kWithout) state_ = judged->doubt ? State::kInDoubt : State::kOnCircuit;
  }
  return state_;
}

std::string Outage::WhyOver(const std::string& over, Duration patience) const {
  const std::string after = SecondsText(patience) + " (NCCL_RELAY_RECOVER_TIMEOUT)";
  const std::string last = warning_.empty() ? "" : "; the last event on the way: " + warning_;
  if (state_ != State::kWithout) {
    return "no sign of life for " + after + ": a node or cable on " + over + " is stopped or cut" +
           (explained() ? ", and there is no other way: " + no_other_ : "") + last;
  }
  const std::string why = explained() ? no_other_ : "no circuit came in its place";
  return "no other way within " + after + ": " + why + "; it was lost because " + loss_ + last;
}

}  // namespace relay::stream
