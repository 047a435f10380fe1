// The circuits that are being set up at this node: those its clients ask for and those its neighbours ask for.
// Half-open ones are bounded, the oldest give way.
#pragma once
#include <map>
#include <memory>

#include "agent/incoming.h"
#include "agent/outgoing.h"
#include "transport/tcp/listener.h"

namespace relay::agent {

class CircuitDesk {
 public:
  explicit CircuitDesk(const Services& services) : services_(services) {}

  void Connect(ClientId client, uint64_t request, const control::Connect& connect);
  void Cancel(ClientId client, uint64_t request);
  void DropClient(ClientId client);
  void Accepted(size_t port, transport::tcp::Accepted accepted);
  bool idle() const { return outgoing_.empty() && incoming_.empty(); }
  size_t half_open() const { return outgoing_.size() + incoming_.size(); }

 private:
  using Request = std::pair<ClientId, uint64_t>;
  void Answer(Request request, Outgoing::Outcome outcome);
  void Misbehaved(const SocketAddress& from, const std::string& how);

  const Services& services_;
  std::map<Request, std::unique_ptr<Outgoing>> outgoing_;
  std::map<uint64_t, std::unique_ptr<Incoming>> incoming_;  // oldest first
  uint64_t next_incoming_ = 1;
  TimePoint last_complaint_{};
  uint64_t complaints_kept_back_ = 0;
};

}  // namespace relay::agent
