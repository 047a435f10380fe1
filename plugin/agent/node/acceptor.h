// Listens on every address of every port of this node, each socket tied to its port's interface.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "transport/tcp/listener.h"

namespace relay::agent {

class Acceptor {
 public:
  using OnCall = std::function<void(const std::string& interface, transport::tcp::Accepted)>;
  struct Door {
    std::string interface;
    SocketAddress address;  // with the port number
  };

  Acceptor(EventLoop& loop, const transport::tcp::HopOptions& hop, OnCall on_call);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // All of them, or an error.
  Status Listen(const std::vector<Door>& doors);
  // These and no others from now on. One that cannot be opened now (its address is still being checked for duplicates)
  // is tried again until it can or is not asked for any more.
  // Returns what only the operator can mend.
  Status Follow(std::vector<Door> doors);
  // Callers at this interface send packets of so many bytes at most from now on; 0: as its MTU allows.
  void Limit(const std::string& interface, uint32_t packet);

 private:
  using Key = std::pair<std::string, std::string>;  // interface, address
  static Key KeyOf(const Door& door) { return {door.interface, door.address.ToText()}; }
  Status Open(const Door& door);
  Status OpenMissing();
  void Accept(const Key& key);
  void Pause();

  EventLoop& loop_;
  const transport::tcp::HopOptions& hop_;
  OnCall on_call_;
  std::vector<Door> wanted_;
  std::map<Key, transport::tcp::Listener> listeners_;
  std::set<Key> complained_;
  std::map<std::string, uint32_t> limits_;  // by interface
  EventLoop::TimerId paused_ = 0, again_ = 0;
};

}  // namespace relay::agent
