#include "comm/opening/fitting_agent.h"

#include <poll.h>

#include <algorithm>

#include "base/log.h"

namespace relay::comm {
namespace {

// Other processes of this job are about to ask the same; a process of another job stays for longer.
constexpr Duration kOthersPatience = std::chrono::seconds(2);
constexpr int kPauseMs = 50;
constexpr Duration kAnswerPatience = std::chrono::seconds(5);

bool IsGone(const Error& error) { return error.code == ErrorCode::kRemote; }

// One attempt to agree with the agent that answers.
class Agreement {
 public:
  Agreement(control::Client& client, const Clock& clock, TimePoint deadline)
      : client_(client), clock_(clock), deadline_(deadline) {}

  // What the agent goes by; empty: it is of a version that does not say. kRemote: it is gone.
  Result<std::string> Settings() {
    auto text = Ask("settings");
    if (text || IsGone(text.error())) return text;
    return std::string();
  }

  // True: it has ended, for this job to start another. Else `why_not` says what keeps it.
  bool GivesWay() {
    const TimePoint until = std::min(deadline_, clock_.Now() + kOthersPatience);
    while (true) {
      auto answer = Ask("give way");
      if (!answer) return IsGone(answer.error());
      if (*answer == "yes") return AwaitEnd();
      why_not_ = *answer;
      if (clock_.Now() >= until) return false;
      poll(nullptr, 0, kPauseMs);
    }
  }
  const std::string& why_not() const { return why_not_; }

 private:
  Result<std::string> Ask(const std::string& question) {
    return control::Ask(client_, question, std::min<Duration>(kAnswerPatience, deadline_ - clock_.Now()), clock_);
  }

  bool AwaitEnd() {
    while (clock_.Now() < deadline_) {
      pollfd wait{client_.fd(), POLLIN, 0};
      poll(&wait, 1, kPauseMs);
      if (!client_.Receive()) return true;
    }
    return false;
  }

  control::Client& client_;
  const Clock& clock_;
  const TimePoint deadline_;
  std::string why_not_ = "an operator started it";
};

std::string Word(const control::Client& client, const std::string& why_not, const std::vector<Disagreement>& all) {
  return "this job asks for " + DisagreementsText(all) + " (process " + std::to_string(client.agent_pid()) +
         ", which stays because " + why_not +
         "): end that agent, set it so, or give this job an agent of its own with NCCL_RELAY_SOCKET=@name and another "
         "NCCL_RELAY_PORT on every node";
}

}  // namespace

Result<std::unique_ptr<control::Client>> ConnectToFittingAgent(const Knobs& knobs,
                                                               const control::ClientOptions& options,
                                                               const Clock& clock) {
  const TimePoint deadline = clock.Now() + options.deadline;
  while (true) {
    control::ClientOptions left = options;
    left.deadline = std::max<Duration>(deadline - clock.Now(), Duration::zero());
    auto client = control::Client::Connect(left, clock);
    RELAY_TRY(client);
    if (!AsksForSomething(knobs)) return client;
    Agreement agreement(**client, clock, deadline);
    const auto settings = agreement.Settings();
    if (!settings && clock.Now() >= deadline) return tl::unexpected<Error>(settings.error());
    if (!settings) continue;  // it has given way to another process of this job, or has ended just now
    const std::vector<Disagreement> all = DisagreementsOf(knobs, *settings);
    if (all.empty()) return client;
    const bool may_start = options.start_agent && (*client)->welcome().auto_started;
    if (may_start && agreement.GivesWay()) {
      RELAY_INFO("this job asks for %s: that one served nobody and has ended", DisagreementsText(all).c_str());
      continue;
    }
    const std::string word = Word(**client, agreement.why_not(), all);
    if (std::any_of(all.begin(), all.end(), [](const Disagreement& one) { return one.unsafe(); })) {
      return Fail(ErrorCode::kUsage, word);
    }
    RELAY_WARN("not as asked for: %s", word.c_str());
    return client;
  }
}

}  // namespace relay::comm
