// Explanations as text and as JSON.
#include <fmt/format.h>

#include <algorithm>

#include "fabric/spelling.h"
#include "view/explain.h"
#include "view/json.h"
#include "view/link_kind.h"
#include "view/quantity.h"

namespace relay::view {
namespace {

using fabric::Fabric;
using fabric::Path;

constexpr size_t kMostNamed = 12;

std::string KindOf(const Path& path) { return path.rdma ? "rdma" : "tcp"; }

// "2 links, 1 Gbit/s, tcp, 10 us"
std::string FactsText(const Path& path) {
  std::string out = CountText(path.links.size(), "link") + ", " + SpeedText(path.width_mbit) + ", " + KindOf(path);
  if (path.latency_us != 0) out += fmt::format(", {} us", path.latency_us);
  if (path.last_resort) out += ", last resort";
  return out;
}

// "A, B, C", and how many more.
std::string ListText(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kMostNamed); ++i) out += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMostNamed) out += fmt::format(" and {} more", names.size() - kMostNamed);
  return out;
}

std::string NoPathText(const Fabric& fabric, const Explanation& e) {
  const std::string &from = fabric.nodes[e.from].name, &to = fabric.nodes[e.to].name;
  const auto reaches = [](const std::string& name, const std::vector<std::string>& reached) {
    return reached.size() == 1 ? name + " reaches no other node\n" : name + " reaches " + ListText(reached) + "\n";
  };
  std::string out = fmt::format("no path leads from {} to {}\n", from, to);
  out += "  " + reaches(from, e.reached_from) + "  " + reaches(to, e.reached_to);
  out += "  any cable between the two groups joins them";
  if (e.reached_from.size() <= 3 && e.reached_to.size() <= 3) {
    out += fmt::format(": from {} to {}", ListText(e.reached_from), ListText(e.reached_to));
  }
  out += "\n";
  for (const std::string& name : e.reached_from) {
    const auto node = std::find_if(fabric.nodes.begin(), fabric.nodes.end(),
                                   [&](const fabric::Node& candidate) { return candidate.name == name; });
    if (node != fabric.nodes.end() && node->draining && name != from) {
      out += "  " + name + " is draining: it takes no new circuits through\n";
    }
  }
  if (!e.free_from.empty() && !e.free_to.empty()) {
    out += fmt::format("  ports without a link: {}; and {}\n", ListText(e.free_from), ListText(e.free_to));
  }
  return out;
}

Json PathJson(const Fabric& fabric, const Path& path) {
  Json nodes = Json::array(), links = Json::array();
  for (size_t node : path.nodes) nodes.push_back(fabric.nodes[node].name);
  for (size_t index : path.links) {
    const fabric::Link& link = fabric.links[index];
    const auto end = [&](const fabric::LinkEnd& at) {
      return fabric.nodes[at.node].name + "/" + fabric.nodes[at.node].ports[at.port].name;
    };
    links.push_back({{"ends", {end(link.a), end(link.b)}},
                     {"speed_mbit", link.speed_mbit},
                     {"latency_us", link.latency_us},
                     {"kind", KindText(link.kind)},
                     {"routed", link.routed},
                     {"last_resort", link.last_resort}});
  }
  return {{"text", fabric::PathText(fabric, path)},
          {"nodes", nodes},
          {"links", links},
          {"width_mbit", path.width_mbit},
          {"latency_us", path.latency_us},
          {"rdma", path.rdma},
          {"last_resort", path.last_resort}};
}

}  // namespace

std::string ExplanationText(const Fabric& fabric, const Explanation& e) {
  if (!e.reached) return NoPathText(fabric, e);
  if (e.from == e.to) {
    return fmt::format("{} to itself: no link is needed, bytes stay on the node\n", fabric.nodes[e.from].name);
  }
  std::string out = fmt::format("{}: {}\n", fabric::PathText(fabric, e.path), FactsText(e.path));
  for (const Alternative& other : e.alternatives) {
    out += fmt::format("not {}: {}\n", fabric::PathText(fabric, other.path), other.why_not);
  }
  if (e.alternatives.empty()) out += "there is no other way\n";
  return out;
}

std::string ExplanationJson(const Fabric& fabric, const Explanation& e) {
  Json out = {{"from", fabric.nodes[e.from].name}, {"to", fabric.nodes[e.to].name}, {"reached", e.reached}};
  if (!e.reached) {
    out["reached_from"] = e.reached_from;
    out["reached_to"] = e.reached_to;
    out["free_ports_from"] = e.free_from;
    out["free_ports_to"] = e.free_to;
    return Dump(out, 2) + "\n";
  }
  out["path"] = PathJson(fabric, e.path);
  out["alternatives"] = Json::array();
  for (const Alternative& other : e.alternatives) {
    Json alternative = PathJson(fabric, other.path);
    alternative["why_not"] = other.why_not;
    out["alternatives"].push_back(std::move(alternative));
  }
  return Dump(out, 2) + "\n";
}

Result<size_t> NodeNamed(const Fabric& fabric, const std::string& name) {
  std::vector<std::string_view> near;
  std::vector<std::string> all;
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    if (fabric.nodes[i].name == name) return i;
    near.push_back(fabric.nodes[i].name);
    all.push_back(fabric.nodes[i].name);
  }
  std::sort(all.begin(), all.end());
  std::string meant = fabric::DidYouMean(name, near);
  if (meant.empty()) meant = "; it has " + ListText(all);
  return Fail(ErrorCode::kUsage, "the fabric has no node \"" + name.substr(0, 80) + "\"" + meant);
}

}  // namespace relay::view
