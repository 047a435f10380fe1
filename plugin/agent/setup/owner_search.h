// Looks for the client that owns a token. Registration travels on another socket than OPEN and may be under way, so an
// unknown token is waited for before it is refused.
#pragma once
#include <functional>

#include "agent/setup/agent_parts.h"

namespace relay::agent {

class OwnerSearch {
 public:
  using Outcome = tl::expected<ClientId, RefusedMessage>;
  using Done = std::function<void(Outcome)>;

  // An unknown token is waited for so long: its registration may be under way. An inquiry asks for a process that has
  // registered long ago, and only an agent that was started anew since does not know it yet.
  static constexpr Duration kForCircuit = std::chrono::seconds(3), kForInquiry = std::chrono::milliseconds(500);

  // Never calls `done` before it returns. Destroying it ends the search.
  OwnerSearch(const AgentParts& parts, const Token& token, Duration patience, Done done);
  ~OwnerSearch();
  OwnerSearch(const OwnerSearch&) = delete;
  OwnerSearch& operator=(const OwnerSearch&) = delete;

 private:
  void Look();
  void Finish(Outcome outcome);

  const AgentParts& parts_;
  const Token token_;
  const Duration patience_;
  Done done_;
  TokenRegistry::WaitId wait_ = 0;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
