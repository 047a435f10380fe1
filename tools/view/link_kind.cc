#include "view/link_kind.h"

#include "fabric/link_facts.h"

namespace relay::view {

std::string KindText(fabric::PortKind kind) { return kind == fabric::PortKind::kRdma ? "rdma" : "tcp"; }

std::string WhyTcp(const fabric::Fabric& fabric, const fabric::Link& link) {
  if (link.kind == fabric::PortKind::kRdma) return "";
  const fabric::Port &a = fabric::PortAt(fabric, link.a), &b = fabric::PortAt(fabric, link.b);
  const bool rdma_a = a.kind == fabric::PortKind::kRdma, rdma_b = b.kind == fabric::PortKind::kRdma;
  if (!rdma_a && !rdma_b) return "";
  const std::string near = fabric::EndText(fabric, link.a), far = fabric::EndText(fabric, link.b);
  if (!rdma_a || !rdma_b) return (rdma_a ? far : near) + " is tcp";
  const auto layer = [](const fabric::Port& port) { return port.infiniband ? " InfiniBand" : " Ethernet"; };
  return near + " is" + layer(a) + ", " + far + layer(b);
}

}  // namespace relay::view
