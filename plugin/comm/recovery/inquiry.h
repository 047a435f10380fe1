// Asks the other end's agent, as often as it makes sense, whether the process there still lives.
#pragma once
#include <optional>

#include "comm/opening/agent_client.h"
#include "comm/recovery/pace.h"

namespace relay::comm {

class Inquiry {
 public:
  // `whom`: the node and token to ask for.
  Inquiry(AgentClient& agent, control::Connect whom) : agent_(agent), whom_(std::move(whom)) {
    whom_.purpose = control::Purpose::kInquire;
  }
  ~Inquiry() { Stop(); }
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

  // Asks when it is time to.
  void Go(TimePoint now) {
    if (request_ != 0 || !pace_.Due(now)) return;
    pace_.Tried(now);
    request_ = agent_.Connect(whom_);
  }
  // What has been answered, once: kOwnerLives, kOwnerGone, or why nobody can say so.
  std::optional<RefusedMessage> Take() {
    if (request_ == 0) return std::nullopt;
    auto outcome = agent_.TakeOutcome(request_);
    if (!outcome) return std::nullopt;
    request_ = 0;
    auto* failed = std::get_if<control::Failed>(&outcome->packet.message);
    if (failed != nullptr) return std::move(failed->refused);
    return RefusedMessage{.code = RefusedCode::kProtocol, .sentence = "the agent answered an inquiry with a circuit"};
  }
  // Nothing is in doubt any more.
  void Stop() {
    if (request_ != 0) agent_.Forget(request_);
    request_ = 0;
    pace_.Reset();
  }

 private:
  AgentClient& agent_;
  control::Connect whom_;
  uint64_t request_ = 0;  // 0: none is under way
  Pace pace_{std::chrono::milliseconds(100), std::chrono::seconds(1)};
};

}  // namespace relay::comm
