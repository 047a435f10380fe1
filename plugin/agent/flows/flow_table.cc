#include "agent/flows/flow_table.h"

#include <algorithm>
#include <string_view>

namespace relay::agent {
namespace {

constexpr size_t kLookAtLeastAt = 256;
constexpr std::string_view kBetweenPorts = "--";

// "A ab--ba B bc--cb C": nodes at even places, links at odd ones.
std::vector<std::string_view> PathWords(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    const size_t end = std::min(path.find(' '), path.size());
    if (end > 0) out.push_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

enum class SideOfLink { kFirst, kSecond };

std::string PortOfLink(std::string_view link, SideOfLink end) {
  const size_t at = link.find(kBetweenPorts);
  if (at == std::string_view::npos) return {};
  return std::string(end == SideOfLink::kFirst ? link.substr(0, at) : link.substr(at + kBetweenPorts.size()));
}

// The place of this node among the words; a relay finds itself by the port that its first hop is bound to, because what
// others call it may differ from what it calls itself.
size_t PlaceOf(const std::vector<std::string_view>& words, const FlowTable::Opening& opening) {
  if (opening.role == FlowRole::kSource) return 0;
  if (opening.role == FlowRole::kDestination) return words.size() - 1;
  const std::string& port = opening.sockets.front().interface;
  for (size_t i = 2; i + 1 < words.size(); i += 2) {
    if (PortOfLink(words[i - 1], SideOfLink::kSecond) == port) return i;
  }
  // A path of two links has only one middle.
  return words.size() == 5 ? 2 : words.size();
}

std::vector<FlowHop> HopsOf(const std::vector<std::string_view>& words, const FlowTable::Opening& opening) {
  const size_t place = PlaceOf(words, opening);
  std::vector<FlowHop> hops;
  for (size_t i = 0; i < opening.sockets.size(); ++i) {
    const TcpSocket& socket = opening.sockets[i];
    FlowHop hop{socket, {}, socket.interface, false, false, {}};
    const bool onward = opening.role == FlowRole::kSource || i == 1;
    if (onward && place + 2 < words.size()) {
      hop.port = PortOfLink(words[place + 1], SideOfLink::kFirst);
      hop.neighbour = words[place + 2];
    } else if (!onward && place >= 2 && place < words.size()) {
      hop.port = PortOfLink(words[place - 1], SideOfLink::kSecond);
      hop.neighbour = words[place - 2];
    }
    hops.push_back(std::move(hop));
  }
  return hops;
}

}  // namespace

const char* RoleText(FlowRole role) {
  switch (role) {
    case FlowRole::kSource:
      return "source";
    case FlowRole::kRelay:
      return "relay";
    case FlowRole::kDestination:
      return "destination";
  }
  return "unknown";
}

uint64_t Flow::bytes() const {
  uint64_t most = 0;
  for (const FlowHop& hop : hops) most = std::max(most, hop.facts.sent_bytes + hop.facts.received_bytes);
  return most;
}

void FlowTable::Opened(Opening opening, TimePoint now) {
  const auto words = PathWords(opening.path);
  if (opening.sockets.empty() || words.empty()) return;
  if (flows_.size() >= kMost) flows_.pop_front();
  Flow flow;
  flow.name = opening.name;
  flow.role = opening.role;
  flow.from = words.front();
  flow.to = words.back();
  flow.opened = now;
  flow.hops = HopsOf(words, opening);
  flow.path = std::move(opening.path);
  flows_.push_back(std::move(flow));
}

void FlowTable::Refresh(const Look& look) {
  std::erase_if(flows_, [&look](Flow& flow) {
    bool known = false;
    for (FlowHop& hop : flow.hops) {
      if (hop.gone) continue;
      const Looked looked = look(hop.socket);
      hop.gone = std::holds_alternative<Gone>(looked);
      if (const auto* facts = std::get_if<SocketFacts>(&looked)) {
        hop.facts = *facts;
        hop.told = true;
      }
      known = known || !hop.gone;
    }
    return !known;
  });
  due_ = std::max(kLookAtLeastAt, 2 * flows_.size());
}

}  // namespace relay::agent
