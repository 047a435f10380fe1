#include "agent/discovery/way_check.h"

#include <algorithm>

namespace relay::agent {

void WayCheck::Restart(TimePoint now) {
  routers_.clear();
  verdict_ = Verdict::kUnknown;
  started_ = now;
  round_ = 0;
  running_ = true;
}

void WayCheck::AddRouter(const SocketAddress& router, TimePoint now) {
  const std::string text = router.HostText();
  if (routers_.size() < kMostRouters || routers_.contains(text)) routers_[text] = {router, now};
}

bool WayCheck::TakeRound(TimePoint now) {
  if (!running_ && now >= next_check_) {
    started_ = now;
    round_ = 0;
    running_ = true;
  }
  if (!running_ || round_ >= kRounds || now < started_ + kBetweenRounds * round_) return false;
  ++round_;
  return true;
}

WayCheck::Verdict WayCheck::Judge(TimePoint now, const IsNode& is_node) {
  auto node = std::find_if(routers_.begin(), routers_.end(), [&](const auto& r) { return is_node(r.second.address); });
  if (node != routers_.end()) {
    verdict_ = Verdict::kThroughFabric;
    culprit_ = node->second.address;
  }
  if (!running_ || now < started_ + kTime) return verdict_;
  running_ = false;
  next_check_ = now + kAgain;
  if (node == routers_.end()) verdict_ = Verdict::kClear;
  // Those of a way that is no longer taken do not count in the next check.
  std::erase_if(routers_, [&](const auto& r) { return r.second.seen < started_; });
  return verdict_;
}

TimePoint WayCheck::due() const {
  if (!running_) return next_check_;
  return std::min(started_ + kTime, round_ < kRounds ? started_ + kBetweenRounds * round_ : TimePoint::max());
}

std::vector<SocketAddress> WayCheck::routers() const {
  std::vector<SocketAddress> out;
  for (const auto& [text, router] : routers_) out.push_back(router.address);
  return out;
}

}  // namespace relay::agent
