// The context's line to its node's agent: tokens, connects and arrivals, over one control client. Comes back by itself
// when the agent was replaced. Any thread; nothing here blocks but Start, and Recover on the service thread.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>

#include "control/client.h"
#include "relay/knobs.h"

namespace relay::comm {

class AgentLink {
 public:
  AgentLink(const Knobs& knobs, const Clock& clock);

  // Connects to the agent or starts one; blocks up to the connect timeout.
  Status Start();
  // Before anything else is asked: a fresh agent has not met all nodes yet. Waits for a welcome that says whether RDMA
  // reaches them all, but not long; afterwards welcome() is the newest.
  void AwaitReach();
  // As of Start; a replaced agent of the same fabric says the same.
  const control::Welcome& welcome() const { return welcome_; }
  pid_t agent_pid() const;
  int fd() const;

  // From here on circuits for this token arrive here, until Unregister.
  void Register(const Token& token);
  void Unregister(const Token& token);
  // The circuit that arrived last for this token, once.
  std::optional<control::Received> TakeArrival(const Token& token);
  // Circuits that arrive for this token from now on are refused: its connection has what it needs.
  void StopListening(const Token& token);

  // Each returns a request number, whose outcome is taken once.
  uint64_t Connect(const control::Connect& connect);
  uint64_t Ask(const std::string& question);
  // Connected (with a descriptor), Failed or Answer; nullopt: not yet. Prepare comes in between, and is answered.
  std::optional<control::Received> TakeOutcome(uint64_t request);
  void Forget(uint64_t request);
  void Answer(uint64_t request, control::Prepared prepared);

  // Takes in what the agent sent.
  void Pump();
  bool lost() const;
  // Service thread: one bounded attempt to reach an agent again; true when the descriptor changed.
  bool Recover();

 private:
  struct Waiting {
    bool listening = true;
    std::optional<control::Received> arrived;  // the newest: a connecting side that asks again has given up the last
  };

  void PumpLocked();
  void Deliver(control::Received received);
  void DeliverArrival(control::Received received);
  void Lose(const Error& error);
  uint64_t Request(control::Message message);

  const Knobs& knobs_;
  const Clock& clock_;
  control::Welcome welcome_;

  mutable std::mutex mutex_;
  std::unique_ptr<control::Client> client_;  // null: lost
  uint64_t next_request_ = 1;
  std::map<Token, Waiting> tokens_;
  std::map<uint64_t, std::optional<control::Received>> requests_;
};

}  // namespace relay::comm
