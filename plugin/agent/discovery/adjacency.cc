#include "agent/discovery/adjacency.h"

namespace relay::agent {
namespace {

bool SameAddress(const SocketAddress& a, const SocketAddress& b) {
  return a.empty() ? b.empty() : a.SameHost(b) && a.port() == b.port();
}

}  // namespace

bool operator==(const Adjacent& a, const Adjacent& b) {
  return a.near_port == b.near_port && a.far == b.far && a.far_incarnation == b.far_incarnation &&
         a.far_name == b.far_name && a.routed == b.routed && a.longest == b.longest && a.passes == b.passes &&
         SameAddress(a.far_address, b.far_address) && SameAddress(a.near_address, b.near_address);
}

}  // namespace relay::agent
