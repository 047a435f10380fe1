#include "agent/outgoing.h"

#include "agent/control_server.h"
#include "agent/refusal.h"
#include "agent/route_check.h"
#include "transport/loopback/dial.h"

namespace relay::agent {

Outgoing::Outgoing(const Services& services, const control::Connect& connect, Done done)
    : services_(services), connect_(connect), done_(std::move(done)) {
  timer_ = services_.loop.After(Duration::zero(), [this] { Begin(); });
}

Outgoing::~Outgoing() {
  if (near_) services_.loop.Forget(near_.get());
  services_.loop.Cancel(timer_);
}

OpenMessage Outgoing::MakeOpen() const {
  OpenMessage open;
  open.name = connect_.name;
  open.token = connect_.token;
  open.agreement = services_.node.agreement;
  open.source = services_.node.node().id;
  open.source_name = services_.node.name();
  return open;
}

void Outgoing::Begin() {
  const LocalNode& node = services_.node;
  if (connect_.agreement != 0 && connect_.agreement != node.agreement) {
    return Finish(tl::unexpected(RefuseDisagreement(node, {connect_.node, {}, connect_.agreement})));
  }
  auto to = fabric::FindNode(node.fabric, connect_.node);
  if (!to) {
    return Finish(tl::unexpected(Refuse(node, RefusedCode::kNoPath, Again::kCannotHelp,
                                        "the fabric of " + node.name() + " has no " + node.NameOf(connect_.node) +
                                            ": compare the files that NCCL_RELAY_FABRIC names on the nodes")));
  }
  if (*to == node.self) return OpenToSelf();
  auto path = fabric::FindPath(node.fabric, node.self, *to);
  if (!path) {
    return Finish(tl::unexpected(Refuse(node, RefusedCode::kNoPath, Again::kCannotHelp,
                                        path.error().what + ": declare the missing link in the file that " +
                                            "NCCL_RELAY_FABRIC names, on every node, and restart the agents")));
  }
  DialPath(*path);
}

void Outgoing::DialPath(const fabric::Path& path) {
  const LocalNode& node = services_.node;
  OpenMessage open = MakeOpen();
  open.route = fabric::RouteOf(node.fabric, path);
  path_ = fabric::PathText(node.fabric, path);
  if (open.route.size() > kMaxHops) {
    return Finish(
        tl::unexpected(Refuse(node, RefusedCode::kNoPath, Again::kCannotHelp,
                              "the path " + path_ + " is longer than " + std::to_string(kMaxHops) + " links")));
  }
  dialer_ = std::make_unique<HopDialer>(services_.loop, node, std::move(open), [this](HopDialer::Outcome outcome) {
    if (!outcome) return Finish(tl::unexpected(std::move(outcome).error()));
    Finish(Opened{std::move(outcome->socket), {std::move(outcome->message), path_}});
  });
}

void Outgoing::OpenToSelf() {
  path_ = services_.node.name();
  timer_ = services_.loop.After(services_.node.connect_timeout, [this] {
    Finish(tl::unexpected(Refuse(services_.node, RefusedCode::kTimeout, Again::kMayHelp,
                                 "the receiving process on " + services_.node.name() + " did not answer in time")));
  });
  search_ = std::make_unique<OwnerSearch>(services_, connect_.token, [this](OwnerSearch::Outcome outcome) {
    if (!outcome) return Finish(tl::unexpected(std::move(outcome).error()));
    HandFarEndTo(*outcome);
  });
}

void Outgoing::HandFarEndTo(ClientId owner) {
  ClientSession* session = services_.clients.Find(owner);
  auto ends = transport::loopback::Dial();
  Status watched;
  if (ends) watched = services_.loop.Watch(ends->near.get(), EPOLLIN, [this](uint32_t) { ReadOpened(); });
  if (session == nullptr || !ends || !watched) {
    std::string why = session == nullptr ? "the receiving process is gone"
                      : !ends            ? ends.error().what
                                         : watched.error().what;
    return Finish(tl::unexpected(Refuse(services_.node, RefusedCode::kLimit, Again::kMayHelp,
                                        services_.node.name() + " cannot connect to itself: " + why)));
  }
  near_ = std::move(ends->near);
  session->Send({0, control::Arrived{MakeOpen(), path_}}, std::move(ends->far));
}

void Outgoing::ReadOpened() {
  auto progress = reader_.Read(near_.get());
  if (progress && *progress == Progress::kAgain) return;
  if (progress && reader_.type() == SetupType::kOpened) {
    if (auto opened = DecodeOpened(reader_.body()); opened && opened->name == connect_.name) {
      services_.loop.Forget(near_.get());
      return Finish(Opened{std::move(near_), {std::move(*opened), path_}});
    }
  }
  if (progress && reader_.type() == SetupType::kRefused) {
    if (auto refused = DecodeRefused(reader_.body())) return Finish(tl::unexpected(std::move(*refused)));
  }
  Finish(tl::unexpected(Refuse(
      services_.node, RefusedCode::kOwnerGone, Again::kCannotHelp,
      "the receiving process on " + services_.node.name() + " ended before it answered with OPENED of this circuit")));
}

void Outgoing::Finish(Outcome outcome) {
  if (near_) services_.loop.Forget(near_.get());
  services_.loop.Cancel(timer_);
  Done done = std::move(done_);
  done(std::move(outcome));
}

}  // namespace relay::agent
