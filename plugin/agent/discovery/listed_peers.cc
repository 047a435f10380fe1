#include "agent/discovery/listed_peers.h"

#include <set>

#include "base/log.h"

namespace relay::agent {
namespace {

constexpr Duration kLookUpAgain = std::chrono::minutes(5);
// While some name has no address: the machine may be about to come.
constexpr Duration kLookUpMissing = std::chrono::seconds(15);

}  // namespace

ListedPeers::ListedPeers(EventLoop& loop, OnAddresses on_addresses)
    : loop_(loop),
      on_addresses_(std::move(on_addresses)),
      resolver_(loop, [this](const std::string& name, std::vector<SocketAddress> addresses) {
        OnFound(name, std::move(addresses));
      }) {}

ListedPeers::~ListedPeers() { loop_.Cancel(timer_); }

void ListedPeers::Set(PeerList list) {
  list_ = std::move(list);
  found_.clear();
  for (const std::string& mistake : list_.mistakes) RELAY_WARN("%s", mistake.c_str());
  Tell();
  LookUp();
}

void ListedPeers::LookUp() {
  loop_.Cancel(timer_);
  timer_ = 0;
  std::set<std::string> names;
  bool missing = false;
  for (const PeerName& peer : list_.peers) {
    if (peer.host.empty()) continue;
    names.insert(peer.host);
    missing = missing || found_[peer.host].empty();
  }
  if (names.empty()) return;
  resolver_.LookUp({names.begin(), names.end()});
  timer_ = loop_.After(missing ? kLookUpMissing : kLookUpAgain, [this] { LookUp(); });
}

void ListedPeers::OnFound(const std::string& name, std::vector<SocketAddress> addresses) {
  // A name server that fails for a moment does not take peers away.
  if (addresses.empty() || !found_.contains(name)) return;
  found_[name] = std::move(addresses);
  Tell();
}

void ListedPeers::Tell() {
  std::vector<SocketAddress> all;
  for (const PeerName& peer : list_.peers) {
    if (!peer.address.empty()) all.push_back(peer.address);
    auto found = found_.find(peer.host);
    if (peer.host.empty() || found == found_.end()) continue;
    for (const SocketAddress& address : found->second) all.push_back(address.WithPort(peer.port));
  }
  on_addresses_(all);
}

std::string ListedPeers::Trouble() const {
  std::string out;
  auto add = [&](const std::string& line) { out += (out.empty() ? "" : "\n") + line; };
  for (const std::string& mistake : list_.mistakes) add(mistake);
  for (const auto& [name, addresses] : found_) {
    if (addresses.empty()) add("NCCL_RELAY_PEERS: " + name + " has no address");
  }
  return out;
}

}  // namespace relay::agent
