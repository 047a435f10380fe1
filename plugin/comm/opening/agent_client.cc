#include "comm/opening/agent_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "comm/opening/fitting_agent.h"
#include "comm/opening/this_build.h"

namespace relay::comm {
namespace {

// One attempt to come back; the service thread has streams to attend to.
constexpr Duration kRecoverAttempt = std::chrono::seconds(2);
// A fabric that changes for longer than this counts as one that RDMA does not reach as a whole.
constexpr Duration kReachPatience = std::chrono::seconds(10);
constexpr useconds_t kReachPause = 100'000;  // microseconds

control::ClientOptions OptionsOf(const Knobs& knobs, Duration deadline) {
  return {.socket = knobs.socket,
          .start_agent = knobs.agent == knob::Automatic::kAuto,
          .agent_log = knobs.agent_log,
          .build = TheBuild().build,
          .plugin = TheBuild().file,
          .agent_program = "",
          .deadline = deadline};
}

}  // namespace

AgentClient::AgentClient(const Knobs& knobs, const Clock& clock) : knobs_(knobs), clock_(clock) {}

Status AgentClient::Start() {
  auto client = ConnectToFittingAgent(knobs_, OptionsOf(knobs_, knobs_.connect_timeout), clock_);
  RELAY_TRY(client);
  client_ = std::move(*client);
  welcome_ = client_->welcome();
  if (welcome_.devices.empty()) return Fail(ErrorCode::kUsage, "the agent offers no device");
  return {};
}

void AgentClient::AwaitReach() {
  const TimePoint deadline = clock_.Now() + kReachPatience;
  while (welcome_.rdma_reach == control::RdmaReach::kUnsettled && clock_.Now() < deadline) {
    usleep(kReachPause);
    const Duration left = std::max<Duration>(deadline - clock_.Now(), Duration::zero());
    auto client = control::Client::Connect(OptionsOf(knobs_, std::min(knobs_.connect_timeout, left)), clock_);
    if (!client) return;  // the link that is there goes on
    std::lock_guard lock(mutex_);
    client_ = std::move(*client);
    welcome_ = client_->welcome();
  }
}

pid_t AgentClient::agent_pid() const {
  std::lock_guard lock(mutex_);
  return client_ ? client_->agent_pid() : 0;
}

int AgentClient::fd() const {
  std::lock_guard lock(mutex_);
  return client_ ? client_->fd() : -1;
}

bool AgentClient::lost() const {
  std::lock_guard lock(mutex_);
  return client_ == nullptr;
}

uint64_t AgentClient::Request(control::Message message) {
  uint64_t request = next_request_++;
  requests_[request] = std::nullopt;
  Status sent = client_ ? client_->Send({request, std::move(message)})
                        : Status(Fail(ErrorCode::kSystem, "the agent of this node is gone"));
  if (!sent) Lose(sent.error());
  return request;
}

// Without an agent it is lost: Recover says again what lasts.
void AgentClient::Send(control::Message message) {
  if (!client_) return;
  if (Status s = client_->Send({0, std::move(message)}); !s) Lose(s.error());
}

void AgentClient::Enter(const Token& token, Waiting waiting) {
  std::lock_guard lock(mutex_);
  tokens_[token] = std::move(waiting);
  Send(control::Register{token});
}

void AgentClient::Register(const Token& token) { Enter(token, {}); }

void AgentClient::RegisterSource(const Token& token) { Enter(token, {.listening = false, .arrived = {}}); }

void AgentClient::Unregister(const Token& token) {
  std::lock_guard lock(mutex_);
  if (tokens_.erase(token) != 0) Send(control::Unregister{token});
}

void AgentClient::Expect(const Token& token, uint64_t connection, uint32_t epoch) {
  std::lock_guard lock(mutex_);
  auto it = tokens_.find(token);
  if (it == tokens_.end()) return;
  it->second.listening = false;
  it->second.connection = connection;
  it->second.epoch = epoch;
}

void AgentClient::Watch(control::Watch watch) {
  std::lock_guard lock(mutex_);
  watched_[watch.connection] = {watch};
  Send(std::move(watch));
}

void AgentClient::Unwatch(uint64_t connection) {
  std::lock_guard lock(mutex_);
  if (watched_.erase(connection) != 0) Send(control::Unwatch{connection});
}

std::optional<std::string> AgentClient::TakeLinkLost(uint64_t connection) {
  std::lock_guard lock(mutex_);
  auto it = watched_.find(connection);
  return it == watched_.end() ? std::nullopt : std::exchange(it->second.lost, std::nullopt);
}

bool AgentClient::TakeBetterPath(uint64_t connection) {
  std::lock_guard lock(mutex_);
  auto it = watched_.find(connection);
  return it != watched_.end() && std::exchange(it->second.better, false);
}

std::optional<control::Received> AgentClient::TakeArrival(const Token& token) {
  std::lock_guard lock(mutex_);
  PumpLocked();
  auto it = tokens_.find(token);
  if (it == tokens_.end() || !it->second.arrived) return std::nullopt;
  return std::exchange(it->second.arrived, std::nullopt);
}

uint64_t AgentClient::Connect(const control::Connect& connect) {
  std::lock_guard lock(mutex_);
  return Request(connect);
}

uint64_t AgentClient::Ask(const std::string& question) {
  std::lock_guard lock(mutex_);
  return Request(control::Query{question});
}

std::optional<control::Received> AgentClient::TakeOutcome(uint64_t request) {
  std::lock_guard lock(mutex_);
  PumpLocked();
  auto it = requests_.find(request);
  if (it == requests_.end() || !it->second) return std::nullopt;
  control::Received out = std::move(*it->second);
  it->second.reset();
  if (!std::holds_alternative<control::Prepare>(out.packet.message)) requests_.erase(it);
  return out;
}

void AgentClient::Forget(uint64_t request) {
  std::lock_guard lock(mutex_);
  if (requests_.erase(request) == 0 || !client_) return;
  if (Status s = client_->Send({request, control::Cancel{}}); !s) Lose(s.error());
}

void AgentClient::Answer(uint64_t request, control::Prepared prepared) {
  std::lock_guard lock(mutex_);
  if (!client_) return;
  if (Status s = client_->Send({request, std::move(prepared)}); !s) Lose(s.error());
}

void AgentClient::Pump() {
  std::lock_guard lock(mutex_);
  PumpLocked();
}

void AgentClient::PumpLocked() {
  while (client_) {
    Status flushed = client_->Flush();
    if (!flushed) return Lose(flushed.error());
    auto received = client_->Receive();
    if (!received) return Lose(received.error());
    if (!*received) return;
    Deliver(std::move(**received));
  }
}

void AgentClient::Deliver(control::Received received) {
  if (std::holds_alternative<control::Arrived>(received.packet.message)) return DeliverArrival(std::move(received));
  News();
  if (auto* lost = std::get_if<control::LinkLost>(&received.packet.message)) {
    auto it = watched_.find(lost->connection);
    if (it != watched_.end()) it->second.lost = std::move(lost->sentence);
    return;
  }
  if (auto* better = std::get_if<control::BetterPath>(&received.packet.message)) {
    auto it = watched_.find(better->connection);
    if (it != watched_.end()) it->second.better = true;
    return;
  }
  auto it = requests_.find(received.packet.request);
  if (it != requests_.end()) it->second = std::move(received);
}

// A circuit that takes another's place is of the same connection, and of a later epoch, or of the same one where the
// agent has gone on to the next path because the answer to the last was lost.
bool AgentClient::Takes(const Waiting& waiting, const CircuitName& name) const {
  if (waiting.listening) return true;
  return waiting.connection != 0 && name.connection == waiting.connection && name.epoch >= waiting.epoch;
}

void AgentClient::DeliverArrival(control::Received received) {
  const OpenMessage& open = std::get<control::Arrived>(received.packet.message).open;
  auto it = tokens_.find(open.token);
  if (it != tokens_.end() && Takes(it->second, open.name)) {
    it->second.arrived = std::move(received);
    return News();
  }
  RefusedMessage refused{
      .node = welcome_.node,
      .final = true,
      .code = RefusedCode::kForbidden,
      .sentence = "node " + welcome_.node_name + ": token " + TokenText(open.token) + " already has its connection"};
  auto bytes = EncodeRefused(refused);
  // A fresh socket takes these few bytes; if not, its end says the same with fewer words.
  if (::send(received.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
}

// Whatever was asked is answered "no, try again": a new agent may come.
void AgentClient::Lose(const Error& error) {
  if (client_) RELAY_INFO("the agent of node %s is gone: %s", welcome_.node_name.c_str(), error.what.c_str());
  client_.reset();
  for (auto& [request, outcome] : requests_) {
    if (outcome) continue;
    RefusedMessage refused{.node = welcome_.node,
                           .final = false,
                           .code = RefusedCode::kNoAgent,
                           .sentence = "no agent answers on this node (" + welcome_.node_name + "): " + error.what};
    outcome = control::Received{{request, control::Failed{refused}}, Fd()};
  }
  News();
}

bool AgentClient::Recover() {
  if (!lost()) return false;
  auto client = control::Client::Connect(OptionsOf(knobs_, kRecoverAttempt), clock_);
  if (!client) return false;
  std::lock_guard lock(mutex_);
  client_ = std::move(*client);
  RELAY_INFO("the agent of node %s answers again (pid %d)", welcome_.node_name.c_str(),
             static_cast<int>(client_->agent_pid()));
  for (auto& [token, waiting] : tokens_) {
    if (Status s = client_->Send({0, control::Register{token}}); !s) {
      Lose(s.error());
      return false;
    }
  }
  for (auto& [connection, watched] : watched_) Send(watched.watch);
  return client_ != nullptr;
}

}  // namespace relay::comm
