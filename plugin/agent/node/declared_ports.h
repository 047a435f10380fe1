// Which ports of a declared node have no carrier, by the kernel's own word: a declaration says what should be there,
// not whether its cable is in. One thread.
#pragma once
#include <functional>
#include <memory>
#include <set>

#include "agent/discovery/adjacency.h"
#include "agent/discovery/interface_watch.h"
#include "agent/node/local_node.h"

namespace relay::agent {

class DeclaredPorts {
 public:
  // Called from the loop and from Start; must not destroy this.
  struct Hooks {
    std::function<void(size_t port, const Loss&)> down;
    std::function<void(size_t port)> up;
  };
  // The node outlives it.
  static Result<std::unique_ptr<DeclaredPorts>> Start(EventLoop& loop, const LocalNode& node, Hooks hooks);

 private:
  DeclaredPorts(const LocalNode& node, Hooks hooks) : node_(node), hooks_(std::move(hooks)) {}
  void Compare();

  const LocalNode& node_;
  const Hooks hooks_;
  std::set<size_t> down_;
  std::unique_ptr<InterfaceWatch> watch_;
};

}  // namespace relay::agent
