// A call from a neighbour, from accept until its socket is handed to its owner, joined to the next hop, or refused.
//
//   greeting --OPEN--> searching --owner--> handed over
//      | |                |---nobody---> refused
//      | |                '--an inquiry--> answered, by a refusal
//      | '-----OPEN--> dialling --OPENED--> relayed
//      |                  '---REFUSED--> refused
//      '----SESSION--> handed to the sessions
//   In every state: the neighbour hangs up or a deadline passes --> ended, and the half-open circuit beyond with it.
//   The greeting has one deadline from the call on, however its bytes trickle.
#pragma once
#include <memory>
#include <optional>

#include "agent/common/rate_limited_log.h"
#include "agent/common/setup_io.h"
#include "agent/relay/rdma_relay.h"
#include "agent/session/session_table.h"
#include "agent/setup/agent_parts.h"
#include "agent/setup/hop_dialer.h"
#include "agent/setup/owner_search.h"
#include "agent/setup/route_check.h"
#include "agent/trust/handshake.h"

namespace relay::agent {

class Incoming {
 public:
  struct Call {
    Fd socket;
    Arrival arrival;
    Budget::Lease lease;
    std::shared_ptr<const Key> key;  // null: the fabric is open
  };
  // All outlive this. No hook but `done` may destroy it.
  struct Hooks {
    RateLimitedLog& log;
    // The greeting is over and an OPEN has come: may one more circuit be set up here now?
    std::function<bool()> greeted;
    std::function<void(SessionTable::Call)> session;  // null: none are taken
    // The last thing that happens here: the owner destroys this in it.
    std::function<void()> done;
  };

  Incoming(const AgentParts& parts, Call call, Hooks hooks);
  ~Incoming();
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  Status Start();

 private:
  void OnEvents();
  void ReadGreeting();
  bool TakeStep(const HandshakeStep& step);
  void TakeSession();
  void TakeOpen();
  std::optional<RefusedMessage> CheckOpen() const;
  void FindOwner();
  void AnswerInquiry(const OwnerSearch::Outcome& outcome);
  void DialOn();
  void HandOver(ClientId owner);
  std::optional<VerbsPort> VerbsHere() const;
  void PrepareRdma(OpenMessage& onward);
  bool ConnectRdma(OpenedMessage& opened);
  void JoinHops(HopDialer::Opened opened);
  void RefuseWith(const RefusedMessage& refused);
  // The neighbour sent what no agent sends, or nothing. `kind` is of the log.
  void Misbehaved(std::atomic<uint64_t>& counter, const char* kind, const std::string& how,
                  std::span<const std::byte> last_words = {});
  void Finish();

  const AgentParts& parts_;
  Call call_;
  Hooks hooks_;
  AcceptorHandshake handshake_;
  SetupReader reader_;
  bool greeting_ = true;
  OpenMessage open_;
  Budget::Lease circuit_lease_;
  std::unique_ptr<HopDialer> dialer_;
  std::unique_ptr<RdmaRelay> rdma_;  // while devices are to carry the messages
  std::string without_rdma_;         // why they do not after all
  std::unique_ptr<OwnerSearch> search_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
