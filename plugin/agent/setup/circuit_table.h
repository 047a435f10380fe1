// The circuits that are being set up at this node: those its clients ask for and those its neighbours ask for.
// Calls that still greet are bounded in number and in descriptors: where there are too many, the oldest of the address
// with the most gives way, so that a flood from one address leaves the others their room. Circuits under way are
// bounded per client and per address that calls.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/setup/incoming.h"
#include "agent/setup/outgoing.h"
#include "transport/tcp/listener.h"

namespace relay::agent {

class CircuitTable {
 public:
  explicit CircuitTable(const AgentParts& parts) : parts_(parts), log_(parts.loop.clock()) {}

  // Calls from now on need it. Null: the fabric is open.
  void set_key(std::shared_ptr<const Key> key) { key_ = std::move(key); }
  // Who takes calls that begin with SESSION.
  void set_session_handler(std::function<void(SessionTable::Call)> handler) { on_session_ = std::move(handler); }

  void Connect(ClientId client, uint64_t request, const control::Connect& connect);
  void Prepared(ClientId client, uint64_t request, control::Prepared prepared);
  void Cancel(ClientId client, uint64_t request);
  void DropClient(ClientId client);
  // LocalNode has another fabric.
  void FabricChanged();
  void Accepted(const std::string& interface, transport::tcp::Accepted accepted);
  bool idle() const { return outgoing_.empty() && incoming_.empty(); }
  size_t half_open() const { return outgoing_.size() + incoming_.size(); }

 private:
  using Request = std::pair<ClientId, uint64_t>;
  std::optional<RefusedMessage> RefuseConnect(Request request) const;
  void Answer(Request request, Outgoing::Outcome outcome);
  // Room for one more call that greets; nullopt when there is none.
  std::optional<Budget::Lease> MakeRoom();
  void EndOneGreeting();
  bool Greeted(uint64_t id);
  void StopGreeting(uint64_t id);
  void StopTaken(uint64_t id);

  const AgentParts& parts_;
  RateLimitedLog log_;
  std::shared_ptr<const Key> key_;
  std::function<void(SessionTable::Call)> on_session_;
  std::map<Request, std::unique_ptr<Outgoing>> outgoing_;
  std::map<uint64_t, std::unique_ptr<Incoming>> incoming_;
  std::map<uint64_t, std::string> greeting_;               // of incoming_: the host that calls
  std::map<std::string, std::set<uint64_t>> greeting_of_;  // each host's, oldest first
  std::map<uint64_t, std::string> taken_;                  // of incoming_, whose OPEN was read: the host that calls
  std::map<std::string, size_t> taken_of_;                 // how many of each host
  uint64_t next_incoming_ = 1;
};

}  // namespace relay::agent
