#include "agent/owner_search.h"

#include "agent/refusal.h"

namespace relay::agent {

OwnerSearch::OwnerSearch(const Services& services, const Token& token, Duration patience, Done done)
    : services_(services), token_(token), patience_(patience), done_(std::move(done)) {
  timer_ = services_.loop.After(Duration::zero(), [this] { Look(); });
}

OwnerSearch::~OwnerSearch() {
  services_.tokens.StopWaiting(wait_);
  services_.loop.Cancel(timer_);
}

void OwnerSearch::Look() {
  const LocalNode& node = services_.node;
  auto found = services_.tokens.Find(token_);
  if (found.standing == TokenRegistry::Standing::kOwned) return Finish(found.owner);
  if (found.standing == TokenRegistry::Standing::kGone) {
    return Finish(
        tl::unexpected(Refuse(node, RefusedCode::kOwnerGone, Again::kCannotHelp,
                              "the process on " + node.name() + " (token " + TokenText(token_) + ") is gone")));
  }
  wait_ = services_.tokens.Wait(token_, [this](ClientId owner) { Finish(owner); });
  timer_ = services_.loop.After(patience_, [this] {
    Finish(
        tl::unexpected(Refuse(services_.node, RefusedCode::kUnknownToken, Again::kMayHelp,
                              "no process on " + services_.node.name() + " listens with token " + TokenText(token_))));
  });
}

void OwnerSearch::Finish(Outcome outcome) {
  services_.tokens.StopWaiting(wait_);
  services_.loop.Cancel(timer_);
  Done done = std::move(done_);
  done(std::move(outcome));
}

}  // namespace relay::agent
