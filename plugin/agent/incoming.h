// A call from a neighbour, from accept until its socket is handed to its owner, joined to the next hop, or refused.
//
//   reading --OPEN--> searching --owner--> handed over
//      |                  '---nobody---> refused
//      '-----OPEN--> dialling --OPENED--> relayed
//                         '---REFUSED--> refused
//   In every state: the neighbour hangs up or a deadline passes --> ended, and the half-open circuit beyond with it.
#pragma once
#include <memory>
#include <optional>

#include "agent/hop_dialer.h"
#include "agent/owner_search.h"
#include "agent/route_check.h"
#include "agent/services.h"
#include "agent/setup_io.h"

namespace relay::agent {

class Incoming {
 public:
  struct Call {
    Fd socket;
    Arrival arrival;
    Budget::Lease lease;
  };
  // `done` is the last thing that happens here: the owner destroys this in it. Its argument is not empty when the
  // neighbour sent what no agent sends.
  using Done = std::function<void(std::string misbehaviour)>;

  Incoming(const Services& services, Call call, Done done);
  ~Incoming();
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  Status Start();

 private:
  void OnEvents();
  void ReadOpen();
  void Take(OpenMessage open);
  void FindOwner();
  void DialOn();
  void HandOver(ClientId owner);
  void JoinHops(HopDialer::Opened opened);
  void RefuseWith(const RefusedMessage& refused);
  void Finish(std::string misbehaviour = {});

  const Services& services_;
  Call call_;
  Done done_;
  SetupReader reader_;
  bool reading_ = true;
  OpenMessage open_;
  Budget::Lease circuit_lease_;
  std::unique_ptr<HopDialer> dialer_;
  std::unique_ptr<OwnerSearch> search_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
