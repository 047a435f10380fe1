// One number that two agents compare instead of two graphs.
#include "fabric/hash.h"
#include "fabric/link_facts.h"
#include "relay/fabric.h"

namespace relay::fabric {
namespace {

// Salts keep a name from standing for an address, and a port for a link.
enum Salt : uint64_t { kAddressSalt = 1, kPortSalt, kNodeSalt, kLinkSalt, kRoutedLinkSalt };

uint64_t HashAddress(const SocketAddress& address) { return Mix(HashBytes(address.HostText()) ^ kAddressSalt); }

uint64_t HashPort(const Port& port) {
  uint64_t addresses = 0;
  for (const SocketAddress& address : port.addresses) addresses += HashAddress(address);
  return Mix(HashBytes(port.name) ^ Mix(addresses + kPortSalt));
}

uint64_t HashNode(const Node& node) {
  uint64_t ports = 0;
  for (const Port& port : node.ports) ports += HashPort(port);
  return Mix(HashBytes(node.name) ^ Mix(ports + kNodeSalt));
}

uint64_t HashLink(const Fabric& fabric, const Link& link) {
  const uint64_t salt = link.routed ? kRoutedLinkSalt : kLinkSalt;
  return Mix(Mix(HashBytes(EndText(fabric, link.a))) + Mix(HashBytes(EndText(fabric, link.b))) + salt);
}

}  // namespace

uint64_t AgreementHash(const Fabric& fabric) {
  uint64_t sum = 0;
  for (const Node& node : fabric.nodes) sum += HashNode(node);
  for (const Link& link : fabric.links) sum += HashLink(fabric, link);
  const uint64_t hash = Mix(sum);
  return hash == 0 ? 1 : hash;
}

}  // namespace relay::fabric
