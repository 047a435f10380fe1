#include "view/segments.h"

#include <algorithm>
#include <map>
#include <set>

namespace relay::view {
namespace {

using fabric::Fabric;
using fabric::Link;
using fabric::LinkEnd;

using PortKey = std::pair<size_t, size_t>;

PortKey KeyOf(const LinkEnd& end) { return {end.node, end.port}; }

struct Segment {
  std::vector<PortKey> ports;
  std::vector<size_t> links;
};

// Ports that links join, directly or over others.
std::vector<Segment> Groups(const Fabric& fabric) {
  std::map<PortKey, std::vector<size_t>> links_at;
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    links_at[KeyOf(fabric.links[i].a)].push_back(i);
    links_at[KeyOf(fabric.links[i].b)].push_back(i);
  }
  std::vector<Segment> out;
  std::set<PortKey> seen;
  for (const auto& [start, unused] : links_at) {
    if (!seen.insert(start).second) continue;
    Segment group;
    std::set<size_t> links;
    std::vector<PortKey> open = {start};
    while (!open.empty()) {
      const PortKey at = open.back();
      open.pop_back();
      group.ports.push_back(at);
      for (size_t link : links_at[at]) {
        links.insert(link);
        for (const PortKey& end : {KeyOf(fabric.links[link].a), KeyOf(fabric.links[link].b)}) {
          if (seen.insert(end).second) open.push_back(end);
        }
      }
    }
    group.links.assign(links.begin(), links.end());
    std::sort(group.ports.begin(), group.ports.end());
    out.push_back(std::move(group));
  }
  return out;
}

// Every pair of its ports is linked, but for two ports of one node.
bool IsWhole(const Segment& group) {
  if (group.ports.size() < 3) return false;
  size_t pairs = 0;
  for (size_t i = 0; i < group.ports.size(); ++i) {
    for (size_t j = 0; j < i; ++j) pairs += group.ports[i].first != group.ports[j].first;
  }
  return pairs == group.links.size();
}

class Condenser {
 public:
  Condenser(const Fabric& fabric, const FabricLoad* load) : fabric_(fabric), load_(load) {}

  Condensed Run() {
    out_.fabric.name = fabric_.name;
    out_.fabric.nodes = fabric_.nodes;
    out_.real_nodes = fabric_.nodes.size();
    if (load_ != nullptr) {
      out_.load = *load_;
      out_.load->links.clear();
    }
    std::vector<Segment> segments = Groups(fabric_);
    std::erase_if(segments, [](const Segment& group) { return !IsWhole(group); });
    std::set<size_t> covered;
    for (const Segment& segment : segments) covered.insert(segment.links.begin(), segment.links.end());
    for (size_t i = 0; i < fabric_.links.size(); ++i) {
      if (!covered.contains(i)) Add(fabric_.links[i], load_ == nullptr ? LinkLoad{} : load_->links[i]);
    }
    for (const Segment& segment : segments) AddSegment(segment);
    return std::move(out_);
  }

 private:
  void Add(const Link& link, const LinkLoad& load) {
    out_.fabric.links.push_back(link);
    if (out_.load) out_.load->links.push_back(load);
  }

  void AddSegment(const Segment& segment) {
    const Link& first = fabric_.links[segment.links.front()];
    fabric::Node place;
    size_t& count = first.last_resort ? lans_ : switches_;
    place.name = first.last_resort ? "LAN" : "switch";
    if (++count > 1) place.name += " " + std::to_string(count);
    const size_t index = out_.fabric.nodes.size();
    for (const PortKey& key : segment.ports) {
      const fabric::Port& port = fabric_.nodes[key.first].ports[key.second];
      fabric::Port jack;
      jack.name = std::to_string(place.ports.size() + 1);
      Link spoke;
      spoke.a = {key.first, key.second};
      spoke.b = {index, place.ports.size()};
      spoke.kind = port.kind;
      spoke.last_resort = first.last_resort;
      spoke.routed = first.routed;
      spoke.speed_mbit = port.speed_mbit;
      Add(spoke, LoadAt(segment, key));
      place.ports.push_back(std::move(jack));
    }
    out_.fabric.nodes.push_back(std::move(place));
  }

  // What this port's links carry together: from the port is towards the segment.
  LinkLoad LoadAt(const Segment& segment, const PortKey& port) const {
    LinkLoad out;
    if (load_ == nullptr) return out;
    for (size_t index : segment.links) {
      const bool is_a = KeyOf(fabric_.links[index].a) == port, is_b = KeyOf(fabric_.links[index].b) == port;
      if (!is_a && !is_b) continue;
      const LinkLoad& load = load_->links[index];
      out.known = out.known || load.known;
      out.a_to_b_bits_s += is_a ? load.a_to_b_bits_s : load.b_to_a_bits_s;
      out.b_to_a_bits_s += is_a ? load.b_to_a_bits_s : load.a_to_b_bits_s;
      out.retransmits_s += load.retransmits_s;
      out.rtt_us = std::max(out.rtt_us, load.rtt_us);
      out.circuits += load.circuits;
    }
    return out;
  }

  const Fabric& fabric_;
  const FabricLoad* load_;
  Condensed out_;
  size_t lans_ = 0, switches_ = 0;
};

}  // namespace

Condensed Condense(const Fabric& fabric, const FabricLoad* load) { return Condenser(fabric, load).Run(); }

Fabric WithoutSegments(const Condensed& condensed) {
  Fabric out = condensed.fabric;
  out.nodes.resize(condensed.real_nodes);
  std::erase_if(out.links, [&](const Link& link) { return condensed.IsSegment(link.b.node); });
  return out;
}

}  // namespace relay::view
