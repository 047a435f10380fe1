// A node of a fabric as its own agent knows it, and the OPEN that another one sends, without an agent.
#pragma once
#include "agent/node/local_node.h"
#include "fabric/path_search.h"
#include "fabric/route.h"
#include "relay/setup.h"

namespace relay::agent {

inline LocalNode NodeOf(const fabric::Fabric& fabric, size_t self) {
  LocalNode node;
  node.fabric = fabric;
  node.self = self;
  node.agreement = fabric::AgreementHash(fabric);
  node.port = 21517;
  node.interfaces.assign(fabric.nodes[self].ports.size(), "lo");
  return node;
}

inline OpenMessage OpenAlong(const fabric::Fabric& fabric, size_t from, size_t to, uint16_t hop) {
  OpenMessage open;
  open.source = fabric.nodes[from].id;
  open.source_name = fabric.nodes[from].name;
  open.agreement = fabric::AgreementHash(fabric);
  open.route = fabric::RouteOf(fabric, *fabric::FindPath(fabric, from, to));
  open.hop = hop;
  return open;
}

}  // namespace relay::agent
