#include "lab/place.h"

#include <fmt/format.h>

#include <set>
#include <string>

#include "fabric/link_facts.h"

namespace relay::lab {
namespace {

using fabric::Fabric;
using fabric::Link;
using fabric::LinkEnd;

const std::string& NameAt(const Fabric& fabric, const LinkEnd& end) { return fabric.nodes[end.node].name; }

// What could have been meant: the nodes, or the pairs that have a cable, or a node's ports.
std::string WhatThereIs(const Fabric& fabric, bool port) {
  constexpr size_t kEnough = 20;  // of a sentence
  std::set<std::string> names;
  std::string out;
  for (const Link& link : fabric.links) {
    std::string name = port ? fabric::EndText(fabric, link.a) + " " + fabric::EndText(fabric, link.b)
                            : NameAt(fabric, link.a) + "-" + NameAt(fabric, link.b);
    if (!names.insert(name).second) continue;
    if (names.size() > kEnough) return out + " ...";
    out += " " + name;
  }
  return out.empty() ? " none" : out;
}

}  // namespace

Result<Place> FindPlace(const Fabric& fabric, std::string_view text) {
  Place place;
  std::string_view what = text;
  const bool port = what.find('/') != what.npos;
  if (port && what.back() == '>') {
    place.one_way = true;
    what.remove_suffix(1);
  }
  for (const Link& link : fabric.links) {
    for (const auto& [from, to] : {std::pair(link.a, link.b), std::pair(link.b, link.a)}) {
      const std::string& a = NameAt(fabric, from);
      const std::string& b = NameAt(fabric, to);
      // Names may contain '-', so pairs are compared as a whole.
      const bool one_way = a + ">" + b == what;
      const bool near = port && fabric::EndText(fabric, from) == what;
      const bool far = port && !place.one_way && fabric::EndText(fabric, to) == what;
      place.one_way |= one_way;
      if (one_way || near || far || a + "-" + b == what || b + "-" + a == what) place.senders.push_back(from);
    }
  }
  if (!place.senders.empty()) return place;
  return Fail(ErrorCode::kUsage, fmt::format("\"{}\" names no link; there {}{}", text, port ? "are the ports" : "are",
                                             WhatThereIs(fabric, port)));
}

LinkEnd FarEnd(const Fabric& fabric, const LinkEnd& near) {
  for (const Link& link : fabric.links) {
    if (link.a == near) return link.b;
    if (link.b == near) return link.a;
  }
  return near;
}

}  // namespace relay::lab
