#include "agent/setup/outgoing.h"

#include <algorithm>

#include "agent/clients/control_server.h"
#include "agent/node/link_history.h"
#include "agent/node/refusal.h"
#include "agent/setup/parallel_ports.h"
#include "agent/setup/route_check.h"
#include "base/log.h"
#include "fabric/route.h"
#include "transport/loopback/dial.h"

namespace relay::agent {
Outgoing::Outgoing(const AgentParts& parts, Request request, Done done)
    : parts_(parts), request_(std::move(request)), done_(std::move(done)) {
  timer_ = parts_.loop.After(Duration::zero(), [this] { Begin(); });
}

Outgoing::~Outgoing() {
  if (near_) parts_.loop.Forget(near_.get());
  parts_.loop.Cancel(timer_);
}

OpenMessage Outgoing::MakeOpen() const {
  const LocalNode& node = parts_.node;
  OpenMessage open;
  open.name = connect_.name;
  open.token = connect_.token;
  open.agreement = node.agreement;
  open.source = node.node().id;
  open.source_name = node.name();
  open.build = request_.build;
  open.plugin = request_.plugin;
  open.source_token = connect_.source_token;
  open.inquiry = inquiry();
  open.declared = node.declared;
  open.settled_s = static_cast<uint32_t>(
      std::clamp<int64_t>(static_cast<int64_t>(Seconds(parts_.loop.clock().Now() - node.settled)), 0, UINT32_MAX));
  return open;
}

void Outgoing::Begin() {
  const LocalNode& node = parts_.node;
  if (node.draining && !inquiry()) {
    return Finish(tl::unexpected(Refuse(node, RefusedCode::kDraining, Again::kMayHelp,
                                        "the agent of " + node.name() + " is ending and takes no new circuits")));
  }
  if (node.declared && connect_.agreement != 0 && connect_.agreement != node.agreement) {
    return Finish(tl::unexpected(RefuseDisagreement(node, {connect_.node, {}, connect_.agreement})));
  }
  auto to = fabric::FindNode(node.fabric, connect_.node);
  if (!to) {
    return NotThere("the fabric of " + node.name() + " has no " + node.NameOf(connect_.node) +
                    ": compare the files that NCCL_RELAY_FABRIC names on the nodes");
  }
  if (*to == node.self) return OpenToSelf();
  const bool better = connect_.purpose == control::Purpose::kOpenBetter;
  auto path = better ? parts_.paths.To(node.fabric, *to) : NextPath(*to);
  const auto plain = path ? path : parts_.paths.To(node.fabric, *to);
  if (!path && plain) return CableOut(*plain);
  if (!path) {
    return NotThere(path.error().what + ": declare the missing link in the file that NCCL_RELAY_FABRIC names, on " +
                    "every node, and restart the agents");
  }
  if (better) return DialBetter(*path);
  // Whoever opens a circuit afresh hears that it is not on the path that was declared.
  if (const auto best = parts_.paths.To(node.fabric, *to);
      connect_.avoid.empty() && best && best->links != path->links) {
    detour_ = "path " + fabric::PathText(node.fabric, *best) + " does not serve: " + CableText(*best);
  }
  DialPath(*path);
}

// The best one that shares no link with those tried, nor, where there is such a path, with the circuit whose place this
// one takes.
Result<fabric::Path> Outgoing::NextPath(size_t to) {
  const LocalNode& node = parts_.node;
  auto useless = LinksOf(tried_), avoided = LinksOf(connect_.avoid);
  const auto down = LinksDownHere();
  useless.insert(useless.end(), down.begin(), down.end());
  if (!avoided.empty()) {
    avoided.insert(avoided.end(), useless.begin(), useless.end());
    if (auto path = fabric::FindPathWithout(node.fabric, node.self, to, avoided)) return path;
  }
  if (useless.empty()) return parts_.paths.To(node.fabric, to);
  return fabric::FindPathWithout(node.fabric, node.self, to, useless);
}

std::vector<size_t> Outgoing::LinksDownHere() const {
  const LocalNode& node = parts_.node;
  std::vector<size_t> links;
  for (size_t link = 0; node.declared && link < node.fabric.links.size(); ++link) {
    if (EndsFrom(node, link) && parts_.history.Find(fabric::NameOf(node.fabric, link))) links.push_back(link);
  }
  return links;
}

void Outgoing::DialBetter(const fabric::Path& best) {
  const LocalNode& node = parts_.node;
  const auto links = fabric::NamesOf(fabric::RouteOf(node.fabric, best));
  if (!fabric::AllAmong(links, fabric::NamesOf(connect_.avoid))) return DialPath(best);
  Finish(tl::unexpected(Refuse(node, RefusedCode::kNoPath, Again::kMayHelp,
                               "no path from " + node.name() + " to " + node.NameOf(connect_.node) +
                                   " is better than " + fabric::PathText(node.fabric, best))));
}

// What is known of a first link over which only small packets come; empty where all do.
std::string Outgoing::FirstLimit(const fabric::Path& path) const {
  const LocalNode& node = parts_.node;
  const auto ends = EndsFrom(node, path.links.front());
  const auto limit = ends ? node.limits.Of(KeyOf(node, *ends)) : std::nullopt;
  if (!limit) return "";
  const auto name = [&](const fabric::LinkEnd& end) {
    return node.fabric.nodes[end.node].name + "/" + node.fabric.nodes[end.node].ports[end.port].name;
  };
  return LimitText(name(ends->near), name(ends->far), *limit);
}

// Says why a path whose first link is a cable of this node is not taken: the cable is out.
std::string Outgoing::CableText(const fabric::Path& path) const {
  const auto* event = parts_.history.Find(fabric::NameOf(parts_.node.fabric, path.links.front()));
  return event != nullptr ? DownText(*event) : "a link is down";
}

void Outgoing::CableOut(const fabric::Path& path) {
  const LocalNode& node = parts_.node;
  Finish(tl::unexpected(
      Refuse(node, RefusedCode::kLinkDown, Again::kMayHelp,
             CableText(path) + ": it is on the way from " + node.name() + " to " + node.NameOf(connect_.node))));
}

// A declared fabric stays as it is; of a discovered one, the missing part may be heard of any moment, or be reached
// beyond routers.
void Outgoing::NotThere(const std::string& why) {
  const LocalNode& node = parts_.node;
  if (node.declared) return Finish(tl::unexpected(Refuse(node, RefusedCode::kNoPath, Again::kCannotHelp, why)));
  parts_.find(connect_.node, connect_.addresses);
  const auto* last = parts_.history.NewestAtTheEdge(node.fabric);
  Finish(tl::unexpected(Refuse(node, RefusedCode::kNoPath, Again::kMayHelp,
                               parts_.why_not_found(connect_.node) + LastText(last, parts_.loop.clock().Now()))));
}

void Outgoing::DialPath(const fabric::Path& path) {
  const LocalNode& node = parts_.node;
  OpenMessage open = MakeOpen();
  open.route = fabric::RouteOf(node.fabric, path);
  tried_.insert(tried_.end(), open.route.begin(), open.route.end());
  path_ = fabric::PathText(node.fabric, path);
  note_ = path.last_resort ? LastResortText(node, path) : "";
  for (const std::string& more : {detour_, FirstLimit(path)}) {
    if (!more.empty()) note_ += (note_.empty() ? "" : "; ") + more;
  }
  if (open.route.size() > kMaxHops) {
    return Finish(
        tl::unexpected(Refuse(node, RefusedCode::kNoPath, Again::kCannotHelp,
                              "the path " + path_ + " is longer than " + std::to_string(kMaxHops) + " links")));
  }
  open_ = std::move(open);
  auto device = DeviceFor(path);
  if (!device) return Dial();
  AskForQueuePair(std::move(*device));
}

void Outgoing::AskForQueuePair(control::Prepare where) {
  preparing_ = true;
  // A queue pair is made in milliseconds; what a process on a busy host cannot do in this time it may do over TCP.
  const Duration patience = parts_.node.connect_timeout / 3;
  timer_ = parts_.loop.After(patience, [this, patience] {
    OnPrepared({{}, "the process did not make its queue pair within " + SecondsText(patience)});
  });
  request_.prepare(std::move(where));
}

// The device where the path begins, if devices carry it from end to end; with a direct one, those of all links to that
// node.
std::optional<control::Prepare> Outgoing::DeviceFor(const fabric::Path& path) {
  const LocalNode& node = parts_.node;
  if (!request_.prepare || !path.rdma || inquiry()) return std::nullopt;
  const auto ends = EndsFrom(node, path.links.front());
  const auto verbs = ends ? node.VerbsOf(ends->near.port) : std::nullopt;
  if (!verbs) return std::nullopt;
  control::Prepare out{verbs->device, verbs->port, static_cast<uint16_t>(path.links.size() - 1),
                       node.fabric.links[path.links.front()].speed_mbit};
  if (path.links.size() == 1) {
    auto without = LinksOf(tried_), avoided = LinksOf(connect_.avoid);
    const bool avoids = std::find(avoided.begin(), avoided.end(), path.links.front()) == avoided.end();
    if (avoids) without.insert(without.end(), avoided.begin(), avoided.end());
    ParallelPorts parallel = ParallelPortsFrom(node, path, without);
    open_.parallel = std::move(parallel.hops);
    out.parallel = std::move(parallel.ports);
  }
  return out;
}

std::vector<size_t> Outgoing::LinksOf(std::span<const RouteHop> hops) const {
  std::vector<size_t> links;
  for (const RouteHop& hop : hops) {
    if (auto link = fabric::FindLink(parts_.node.fabric, hop)) links.push_back(*link);
  }
  return links;
}

void Outgoing::OnPrepared(control::Prepared prepared) {
  if (!std::exchange(preparing_, false)) return;
  parts_.loop.Cancel(timer_);
  open_.offer = std::move(prepared.offer);
  const bool by_device = !open_.offer.empty();
  if (!by_device) open_.parallel.clear();
  if (!prepared.why_not.empty()) {
    note_ +=
        (note_.empty() ? "" : "; ") + (by_device ? "" : "path " + path_ + " is used without RDMA: ") + prepared.why_not;
  }
  if (open_.route.empty()) return FindOwner();
  Dial();
}

void Outgoing::Dial() {
  dialer_ = std::make_unique<HopDialer>(
      parts_.loop, parts_.node, open_, [this](HopDialer::Outcome outcome) { OnDialled(std::move(outcome)); },
      DialTrust{request_.key, &parts_.counters});
}

void Outgoing::OnDialled(HopDialer::Outcome outcome) {
  const LocalNode& node = parts_.node;
  if (outcome && inquiry()) {
    return Finish(tl::unexpected(Refuse(node, RefusedCode::kProtocol, Again::kCannotHelp,
                                        node.NameOf(connect_.node) + " answers an inquiry with a circuit")));
  }
  if (outcome) {
    return Finish(Opened{std::move(outcome->socket), {std::move(outcome->message), path_, note_, open_.route}});
  }
  RefusedMessage& refused = outcome.error();
  if (DialAnother(refused)) return;
  if (refused.node == node.node().id) {
    const auto* last = parts_.history.Find(fabric::NameOf(open_.route.front()));
    refused.sentence += LastText(last, parts_.loop.clock().Now());
  }
  Finish(tl::unexpected(std::move(refused)));
}

// The next-best path, which shares no link with those tried. Whoever wanted a better one is not served by it.
std::optional<fabric::Path> Outgoing::Alternative() {
  if (connect_.purpose == control::Purpose::kOpenBetter) return std::nullopt;
  const auto to = fabric::FindNode(parts_.node.fabric, connect_.node);
  auto path = to ? NextPath(*to) : Result<fabric::Path>(Fail(ErrorCode::kNoPath, ""));
  return path ? std::optional(std::move(*path)) : std::nullopt;
}

// Where a link or a relay of the path does not serve, another path may.
bool Outgoing::DialAnother(const RefusedMessage& refused) {
  const bool of_the_way = refused.code == RefusedCode::kLinkDown || refused.code == RefusedCode::kNoAgent ||
                          refused.code == RefusedCode::kNoListener || refused.code == RefusedCode::kLimit ||
                          refused.code == RefusedCode::kDraining || refused.code == RefusedCode::kTimeout;
  if (!of_the_way || !Alternative()) return false;
  // Later: the dialler that reports is still at work.
  timer_ = parts_.loop.After(Duration::zero(), [this, refused] { DialNextBest(refused); });
  return true;
}

void Outgoing::DialNextBest(const RefusedMessage& refused) {
  dialer_.reset();
  const auto path = Alternative();
  if (!path) return Finish(tl::unexpected(refused));
  detour_ = "path " + path_ + " does not serve: " + refused.sentence;
  RELAY_INFO("%s; the next one is tried: %s", detour_.c_str(), fabric::PathText(parts_.node.fabric, *path).c_str());
  DialPath(*path);
}

void Outgoing::FabricChanged() {
  const LocalNode& node = parts_.node;
  if (!dialer_ && !preparing_) return;
  const auto gone = std::find_if(open_.route.begin(), open_.route.end(),
                                 [&](const RouteHop& hop) { return !fabric::FindLink(node.fabric, hop); });
  if (gone == open_.route.end()) return;
  const auto* event = parts_.history.Find(fabric::NameOf(*gone));
  const std::string why = event != nullptr ? DownText(*event) : "a link of the path " + path_ + " has gone";
  preparing_ = false;
  dialer_.reset();
  parts_.loop.Cancel(timer_);
  const RefusedMessage refused = Refuse(node, RefusedCode::kLinkDown, Again::kMayHelp, why);
  timer_ = parts_.loop.After(Duration::zero(), [this, refused] { DialNextBest(refused); });
}

// GPU memory is offered to devices where they reach all other nodes: then two processes of this one meet at a device.
void Outgoing::OpenToSelf() {
  const LocalNode& node = parts_.node;
  path_ = node.name();
  open_ = MakeOpen();
  for (size_t port = 0; port < node.interfaces.size() && !own_; ++port) own_ = node.VerbsOf(port);
  if (!own_ || !request_.prepare || inquiry()) return FindOwner();
  AskForQueuePair({own_->device, own_->port, 0});
}

void Outgoing::FindOwner() {
  timer_ = parts_.loop.After(parts_.node.connect_timeout, [this] {
    Finish(tl::unexpected(Refuse(parts_.node, RefusedCode::kTimeout, Again::kMayHelp,
                                 "the receiving process on " + parts_.node.name() + " did not answer in time")));
  });
  const Duration patience = inquiry() ? OwnerSearch::kForInquiry : OwnerSearch::kForCircuit;
  search_ = std::make_unique<OwnerSearch>(parts_, connect_.token, patience, [this](OwnerSearch::Outcome outcome) {
    if (inquiry()) Add(parts_.counters.inquiries);
    if (!outcome) return Finish(tl::unexpected(std::move(outcome).error()));
    if (inquiry()) return Finish(tl::unexpected(OwnerLives(parts_.node, connect_.token)));
    HandFarEndTo(*outcome);
  });
}

void Outgoing::HandFarEndTo(ClientId owner) {
  ClientSession* session = parts_.clients.Find(owner);
  auto ends = transport::loopback::Dial();
  Status watched;
  if (ends) watched = parts_.loop.Watch(ends->near.get(), EPOLLIN, [this](uint32_t) { ReadOpened(); });
  if (session == nullptr || !ends || !watched) {
    std::string why = session == nullptr ? "the receiving process is gone"
                      : !ends            ? ends.error().what
                                         : watched.error().what;
    return Finish(tl::unexpected(Refuse(parts_.node, RefusedCode::kLimit, Again::kMayHelp,
                                        parts_.node.name() + " cannot connect to itself: " + why)));
  }
  near_ = std::move(ends->near);
  control::Arrived arrived{open_, path_, {}};
  if (own_ && !open_.offer.empty()) {
    arrived.device = own_->device;
    arrived.device_port = own_->port;
  }
  session->Send({0, std::move(arrived)}, std::move(ends->far));
}

void Outgoing::ReadOpened() {
  auto progress = reader_.Read(near_.get());
  if (progress && *progress == Progress::kAgain) return;
  if (progress && reader_.type() == SetupType::kOpened) {
    if (auto opened = DecodeOpened(reader_.body()); opened && opened->name == connect_.name) {
      parts_.loop.Forget(near_.get());
      return Finish(Opened{std::move(near_), {std::move(*opened), path_, note_}});
    }
  }
  if (progress && reader_.type() == SetupType::kRefused) {
    if (auto refused = DecodeRefused(reader_.body())) return Finish(tl::unexpected(std::move(*refused)));
  }
  Finish(tl::unexpected(Refuse(
      parts_.node, RefusedCode::kOwnerGone, Again::kCannotHelp,
      "the receiving process on " + parts_.node.name() + " ended before it answered with OPENED of this circuit")));
}

void Outgoing::Finish(Outcome outcome) {
  if (near_) parts_.loop.Forget(near_.get());
  parts_.loop.Cancel(timer_);
  Done done = std::move(done_);
  done(std::move(outcome));
}

}  // namespace relay::agent
