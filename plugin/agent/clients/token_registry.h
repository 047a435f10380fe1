// Which client owns which token, who once did, and who waits for an owner to come.
#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <set>

#include "relay/setup.h"

namespace relay::agent {

using ClientId = uint64_t;  // 0: nobody

class TokenRegistry {
 public:
  enum class Standing { kOwned, kGone, kUnknown };
  struct Found {
    Standing standing = Standing::kUnknown;
    ClientId owner = 0;
  };
  using WaitId = uint64_t;

  // One owner registers no more.
  static constexpr size_t kMostOfOne = 65536;

  // Calls whoever waits for this token. False: this owner has as many as one may, and does not have this one.
  bool Register(const Token& token, ClientId owner);
  void Unregister(const Token& token, ClientId owner);
  void DropOwner(ClientId owner);
  Found Find(const Token& token) const;

  // Called once, when the token is registered; not called any more after StopWaiting.
  WaitId Wait(const Token& token, std::function<void(ClientId)> callback);
  void StopWaiting(WaitId id);

  size_t size() const { return owners_.size(); }

 private:
  struct Waiter {
    Token token;
    std::function<void(ClientId)> callback;
  };
  void Bury(const Token& token);

  void Forget(ClientId owner);

  std::map<Token, ClientId> owners_;
  std::map<ClientId, size_t> of_owner_;
  std::set<Token> gone_;
  std::deque<Token> gone_in_order_;  // bounds gone_
  std::map<WaitId, Waiter> waiters_;
  WaitId next_wait_ = 1;
};

}  // namespace relay::agent
