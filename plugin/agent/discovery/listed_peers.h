// The peers of NCCL_RELAY_PEERS as addresses: names are looked up, again and again, because machines move.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/discovery/name_resolver.h"
#include "agent/discovery/peer_list.h"
#include "base/event_loop.h"

namespace relay::agent {

class ListedPeers {
 public:
  // All that are known now; called whenever they change, and once by Set.
  using OnAddresses = std::function<void(const std::vector<SocketAddress>&)>;

  ListedPeers(EventLoop& loop, OnAddresses on_addresses);
  ~ListedPeers();
  ListedPeers(const ListedPeers&) = delete;
  ListedPeers& operator=(const ListedPeers&) = delete;

  void Set(PeerList list);
  // Mistakes in the list, and names that have no address; one per line, empty when there are none.
  std::string Trouble() const;

 private:
  void LookUp();
  void OnFound(const std::string& name, std::vector<SocketAddress> addresses);
  void Tell();

  EventLoop& loop_;
  OnAddresses on_addresses_;
  PeerList list_;
  std::map<std::string, std::vector<SocketAddress>> found_;  // by name
  NameResolver resolver_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
