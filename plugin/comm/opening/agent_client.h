// The context's line to its node's agent: tokens, connects and arrivals, over one control client. Comes back by itself
// when the agent was replaced. Any thread; nothing here blocks but Start, and Recover on the service thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>

#include "control/client.h"
#include "relay/knobs.h"

namespace relay::comm {

class AgentClient {
 public:
  AgentClient(const Knobs& knobs, const Clock& clock);

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
  // The same for the token of a sending end: nobody opens a circuit to it, one asks whether it lives.
  void RegisterSource(const Token& token);
  void Unregister(const Token& token);
  // The circuit that arrived last for this token, once.
  std::optional<control::Received> TakeArrival(const Token& token);
  // From now on only circuits of this connection arrive for the token, and none of an earlier epoch.
  void Expect(const Token& token, uint64_t connection, uint32_t epoch);

  // What the agent has to tell of a circuit's links comes in here, until Unwatch.
  void Watch(control::Watch watch);
  void Unwatch(uint64_t connection);
  // The sentence of a link of that circuit that went, once.
  std::optional<std::string> TakeLinkLost(uint64_t connection);
  // Whether a better path has come, once.
  bool TakeBetterPath(uint64_t connection);
  // Called when an outcome, an arrival for an expecting token, or news of a watched circuit has come; under this link's
  // lock, so that it may only leave word. Before Start.
  void set_on_news(std::function<void()> on_news) { on_news_ = std::move(on_news); }

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
    uint64_t connection = 0;  // when not listening: whose circuits are taken; 0: nobody's
    uint32_t epoch = 0;
    std::optional<control::Received> arrived;  // the newest: a connecting side that asks again has given up the last
  };

  struct Watched {
    control::Watch watch;
    std::optional<std::string> lost{};
    bool better = false;
  };

  void Enter(const Token& token, Waiting waiting);
  bool Takes(const Waiting& waiting, const CircuitName& name) const;
  void Send(control::Message message);
  void News() {
    if (on_news_) on_news_();
  }
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
  std::map<uint64_t, Watched> watched_;
  std::function<void()> on_news_;
  std::map<uint64_t, std::optional<control::Received>> requests_;
};

}  // namespace relay::comm
