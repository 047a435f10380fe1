#include "agent/node/refusal.h"

#include <cerrno>
#include <cstdio>
#include <vector>

namespace relay::agent {
namespace {

// Longer than a change takes to go round.
constexpr Duration kSettled = std::chrono::seconds(10);

bool LinkIsDown(int err) {
  return err == ENETDOWN || err == ENETUNREACH || err == ENODEV || err == EADDRNOTAVAIL || err == ENXIO;
}

// Where a host answers that nobody listens, the cable is good; where nothing answers, it may be either.
std::string WhatToDo(int err, const std::string& cause) {
  bool silent = err == ETIMEDOUT || err == EHOSTUNREACH;
  if (!silent) return ": start `nccl-relay agent` there";
  return ": check the cable, and that `nccl-relay agent` runs there" + (cause.empty() ? "" : "; " + cause);
}

}  // namespace

std::string HashText(uint64_t agreement) {
  char text[20];
  snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(agreement));
  return text;
}

RefusedMessage Refuse(const LocalNode& node, RefusedCode code, Again again, std::string sentence) {
  return {node.node().id, again == Again::kCannotHelp, code, std::move(sentence)};
}

RefusedMessage RefuseDisagreement(const LocalNode& node, const Disagreement& d) {
  const std::string other = d.other_name.empty() ? node.NameOf(d.other) : d.other_name;
  return Refuse(node, RefusedCode::kAgreement, Again::kCannotHelp,
                node.name() + " and " + other + " hold different fabrics (" + node.name() + " " +
                    HashText(node.agreement) + ", " + other + " " + HashText(d.theirs) +
                    "): compare the files that NCCL_RELAY_FABRIC names on both");
}

std::string DisagreementNote(const LocalNode& node, const OpenMessage& open, TimePoint now) {
  const bool settled = open.settled_s >= Seconds(kSettled) && now - node.settled >= kSettled;
  if (node.declared || open.declared || open.agreement == node.agreement || !settled) return "";
  return open.source_name + " and " + node.name() + " have discovered different fabrics (" + open.source_name + " " +
         HashText(open.agreement) + ", " + node.name() + " " + HashText(node.agreement) +
         "): compare `nccl-relay fabric` on both";
}

RefusedMessage OwnerLives(const LocalNode& node, const Token& token) {
  return Refuse(node, RefusedCode::kOwnerLives, Again::kMayHelp,
                "the process on " + node.name() + " (token " + TokenText(token) + ") lives");
}

std::string LastResortText(const LocalNode& node, const fabric::Path& path) {
  const fabric::Fabric& fabric = node.fabric;
  std::string links;
  for (size_t link : path.links) {
    const fabric::Link& l = fabric.links[link];
    if (!l.last_resort && !l.routed) continue;
    links +=
        (links.empty() ? "" : ", ") + fabric::LinkText(fabric, link) + (l.routed ? " beyond routers" : " on a LAN");
  }
  return fabric.nodes[path.nodes.back()].name + " is reached from " + node.name() +
         " by a last resort, because no cable leads there: " + links;
}

bool OnlyThrough(const fabric::Fabric& fabric, const Question& question) {
  if (question.through == question.from || question.through == question.to) return false;
  std::vector<bool> seen(fabric.nodes.size());
  std::vector<size_t> open{question.from};
  seen[question.from] = seen[question.through] = true;
  while (!open.empty()) {
    size_t at = open.back();
    open.pop_back();
    if (at == question.to) return false;
    for (const fabric::Link& link : fabric.links) {
      for (auto [near, far] : {std::pair(link.a.node, link.b.node), std::pair(link.b.node, link.a.node)}) {
        if (near != at || seen[far]) continue;
        seen[far] = true;
        open.push_back(far);
      }
    }
  }
  return true;
}

RefusedMessage RefuseUnanswered(const LocalNode& node, const Unanswered& u) {
  const auto& route = u.open.route;
  const RouteHop& hop = route[u.open.hop];
  const std::string next = node.NameOf(hop.to), source = node.NameOf(route.front().from),
                    destination = node.NameOf(route.back().to);
  const std::string link = node.name() + "-" + next;
  if (LinkIsDown(u.sys_errno)) {
    return Refuse(node, RefusedCode::kLinkDown, Again::kMayHelp,
                  "link " + link + " is down at " + node.name() + " (" + u.where + "): it is on the way from " +
                      source + " to " + destination);
  }
  if (u.sys_errno == EMFILE || u.sys_errno == ENFILE) {
    return Refuse(node, RefusedCode::kLimit, Again::kMayHelp,
                  "the agent of " + node.name() + " has no descriptor left to dial " + next +
                      ": raise its `ulimit -n`; it is on the way from " + source + " to " + destination);
  }
  const std::string nobody = "no agent answers";
  const std::string where = " (" + u.where + ")" + WhatToDo(u.sys_errno, u.cause);
  if (hop.to == route.back().to) {
    const auto code = u.sys_errno == ECONNREFUSED ? RefusedCode::kNoListener : RefusedCode::kNoAgent;
    return Refuse(node, code, Again::kMayHelp, nobody + " on " + next + " over link " + link + where);
  }
  auto from = fabric::FindNode(node.fabric, route.front().from), to = fabric::FindNode(node.fabric, route.back().to),
       through = fabric::FindNode(node.fabric, hop.to);
  bool only = from && to && through && OnlyThrough(node.fabric, {*from, *to, *through});
  return Refuse(node, RefusedCode::kNoAgent, Again::kMayHelp,
                destination + " is joined to " + source + (only ? " only" : "") + " through " + next + ", where " +
                    nobody + " over link " + link + where);
}

}  // namespace relay::agent
