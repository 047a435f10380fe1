#include "lab/link_state.h"

#include <fmt/format.h>

#include "lab/place.h"
#include "lab/wiring.h"

namespace relay::lab {

LinkState BuiltState(const Plan& plan, const fabric::LinkEnd& end) {
  return {false, false, plan.InterfaceAt(end).rate_kbit, 0, plan.mtu, 0};
}

std::string IpCommands(const Plan& plan, const LinkChange& change) {
  const std::string& name = plan.InterfaceAt(change.end).name;
  std::string out;
  if (change.from.mtu != change.to.mtu) out += fmt::format("link set dev {} mtu {}\n", name, change.to.mtu);
  if (change.from.longest != change.to.longest) {
    // What the kernel hands over is one packet of the wire each, so that its length can be judged.
    out += fmt::format("link set dev {} gso_max_segs {}\n", name, change.to.longest == 0 ? 65535 : 1);
  }
  if (!change.from.cut && change.to.cut) out += fmt::format("link set dev {} down\n", name);
  if (change.from.cut && !change.to.cut) out += InterfaceUp(plan, change.end);
  return out;
}

std::string TcCommands(const Plan& plan, const LinkChange& change) {
  const LinkState &from = change.from, &to = change.to;
  if (from.drop == to.drop && from.rate_kbit == to.rate_kbit) return "";
  const std::string queue = to.drop ? "blackhole" : to.rate_kbit == 0 ? "noqueue" : TokenBucket(to.rate_kbit);
  return fmt::format("qdisc replace dev {} root {}\n", plan.InterfaceAt(change.end).name, queue);
}

std::string NftCommands(const Plan& plan, const LinkChange& change) {
  const LinkState &from = change.from, &to = change.to;
  if (from.loss_ppm == to.loss_ppm && from.longest == to.longest) return "";
  const fabric::LinkEnd far = FarEnd(plan.fabric, change.end);
  const std::string table = fmt::format("netdev lab_loss_{}", far.port);
  // Adding what may be there makes deleting safe.
  std::string out = fmt::format("add table {}\ndelete table {}\n", table, table);
  std::string rules;
  if (to.loss_ppm != 0) rules += fmt::format("    numgen random mod 1000000 < {} drop\n", to.loss_ppm);
  if (to.longest != 0) rules += fmt::format("    meta length > {} drop\n", to.longest);
  if (rules.empty()) return out;
  return out + fmt::format(
                   "table {} {{\n  chain arriving {{\n"
                   "    type filter hook ingress device \"{}\" priority 0; policy accept;\n{}  }}\n}}\n",
                   table, plan.InterfaceAt(far).name, rules);
}

}  // namespace relay::lab
