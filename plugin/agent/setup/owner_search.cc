#include "agent/setup/owner_search.h"

#include "agent/node/refusal.h"

namespace relay::agent {

OwnerSearch::OwnerSearch(const AgentParts& parts, const Token& token, Duration patience, Done done)
    : parts_(parts), token_(token), patience_(patience), done_(std::move(done)) {
  timer_ = parts_.loop.After(Duration::zero(), [this] { Look(); });
}

OwnerSearch::~OwnerSearch() {
  parts_.tokens.StopWaiting(wait_);
  parts_.loop.Cancel(timer_);
}

void OwnerSearch::Look() {
  const LocalNode& node = parts_.node;
  auto found = parts_.tokens.Find(token_);
  if (found.standing == TokenRegistry::Standing::kOwned) return Finish(found.owner);
  if (found.standing == TokenRegistry::Standing::kGone) {
    return Finish(
        tl::unexpected(Refuse(node, RefusedCode::kOwnerGone, Again::kCannotHelp,
                              "the process on " + node.name() + " (token " + TokenText(token_) + ") is gone")));
  }
  wait_ = parts_.tokens.Wait(token_, [this](ClientId owner) { Finish(owner); });
  timer_ = parts_.loop.After(patience_, [this] {
    Finish(tl::unexpected(Refuse(parts_.node, RefusedCode::kUnknownToken, Again::kMayHelp,
                                 "no process on " + parts_.node.name() + " listens with token " + TokenText(token_))));
  });
}

void OwnerSearch::Finish(Outcome outcome) {
  parts_.tokens.StopWaiting(wait_);
  parts_.loop.Cancel(timer_);
  Done done = std::move(done_);
  done(std::move(outcome));
}

}  // namespace relay::agent
