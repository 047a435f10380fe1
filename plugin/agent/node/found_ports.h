// The ports that discovery found, with what is known of the verbs devices behind them.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "agent/discovery/verbs_ports.h"
#include "agent/node/local_node.h"
#include "base/clock.h"
#include "relay/fabric.h"

namespace relay::agent {

class FoundPorts {
 public:
  explicit FoundPorts(const LocalNode& node) : node_(node) {}

  void Found(const std::vector<fabric::Port>& ports);
  // The devices may have changed.
  void LookAgain();
  // Looks, once in a while, whether devices came or went. True: they did.
  bool Outdated(TimePoint now);
  // What is not RDMA-capable at first may be so in a moment: that it is not is said when it has been so `for_good`.
  void Say(bool for_good);

  // RDMA-capable are those with a device that this process may use.
  const std::vector<fabric::Port>& ports() const { return ports_; }
  // In the order of these ports, which may be another one.
  std::vector<PortVerbs> VerbsOf(const std::vector<fabric::Port>& order) const;
  bool any_device() const { return !devices_.empty(); }
  // What is used of the devices, and what is not and why.
  std::vector<std::string> Describe() const;

 private:
  const LocalNode& node_;
  std::vector<fabric::Port> found_;  // as discovery has them
  std::vector<fabric::Port> ports_;  // with what is known of verbs devices
  VerbsPorts devices_;
  std::vector<PortVerbs> verbs_;  // beside ports_
  std::string summary_;           // when they were looked up
  TimePoint due_{};
  std::map<std::string, std::string> told_;  // per port, in the log
};

}  // namespace relay::agent
