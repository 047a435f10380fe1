#include "agent/clients/token_registry.h"

#include <algorithm>

namespace relay::agent {
namespace {

// Remembered as gone: what is forgotten is refused as unknown, a little later and less clearly.
constexpr size_t kMostGone = 8192;

}  // namespace

bool TokenRegistry::Register(const Token& token, ClientId owner) {
  const auto known = owners_.find(token);
  if (known == owners_.end() || known->second != owner) {
    const auto count = of_owner_.find(owner);
    if (count != of_owner_.end() && count->second >= kMostOfOne) return false;
    if (known != owners_.end()) Forget(known->second);
    ++of_owner_[owner];
  }
  owners_[token] = owner;
  gone_.erase(token);
  // A callback may add and end other waits, so every one is looked up anew.
  while (true) {
    auto waiting = std::find_if(waiters_.begin(), waiters_.end(), [&](auto& w) { return w.second.token == token; });
    if (waiting == waiters_.end()) return true;
    auto callback = std::move(waiting->second.callback);
    waiters_.erase(waiting);
    callback(owner);
  }
}

void TokenRegistry::Unregister(const Token& token, ClientId owner) {
  auto it = owners_.find(token);
  if (it == owners_.end() || it->second != owner) return;
  owners_.erase(it);
  Forget(owner);
  Bury(token);
}

// One token less.
void TokenRegistry::Forget(ClientId owner) {
  const auto count = of_owner_.find(owner);
  if (--count->second == 0) of_owner_.erase(count);
}

void TokenRegistry::DropOwner(ClientId owner) {
  for (auto it = owners_.begin(); it != owners_.end();) {
    if (it->second != owner) {
      ++it;
      continue;
    }
    Bury(it->first);
    it = owners_.erase(it);
  }
  of_owner_.erase(owner);
}

void TokenRegistry::Bury(const Token& token) {
  if (!gone_.insert(token).second) return;
  gone_in_order_.push_back(token);
  if (gone_in_order_.size() <= kMostGone) return;
  gone_.erase(gone_in_order_.front());
  gone_in_order_.pop_front();
}

TokenRegistry::Found TokenRegistry::Find(const Token& token) const {
  if (auto it = owners_.find(token); it != owners_.end()) return {Standing::kOwned, it->second};
  return {gone_.contains(token) ? Standing::kGone : Standing::kUnknown, 0};
}

TokenRegistry::WaitId TokenRegistry::Wait(const Token& token, std::function<void(ClientId)> callback) {
  waiters_[next_wait_] = {token, std::move(callback)};
  return next_wait_++;
}

void TokenRegistry::StopWaiting(WaitId id) { waiters_.erase(id); }

}  // namespace relay::agent
