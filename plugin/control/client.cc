#include "control/client.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "control/spawn.h"

namespace relay::control {
namespace {

// An agent that leaves this many packets unread is stopped or hung.
constexpr size_t kMaxOutbox = 8192;
constexpr size_t kMostAnswer = size_t{64} << 20;

bool WaitUntil(int fd, short events, TimePoint deadline, const Clock& clock) {
  while (clock.Now() < deadline) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now()).count();
    pollfd p{fd, events, 0};
    if (poll(&p, 1, static_cast<int>(std::clamp<int64_t>(left, 1, 1000))) > 0) return true;
  }
  return false;
}

void Pause(Duration d) {
  timespec t{0, std::min<long>(d.count(), 999'999'999)};
  nanosleep(&t, nullptr);
}

bool NobodyThere(const Error& error) { return error.sys_errno == ENOENT || error.sys_errno == ECONNREFUSED; }

std::string Join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " and ") + name;
  return out;
}

}  // namespace

// One Connect: its deadline, what it found so far.
class Connector {
 public:
  Connector(const ClientOptions& options, const Clock& clock)
      : options_(options), clock_(clock), deadline_(clock.Now() + options.deadline) {}

  Result<std::unique_ptr<Client>> Run() {
    const auto names = SocketNames(options_.socket);
    Duration pause = std::chrono::milliseconds(5);
    while (true) {
      for (const std::string& name : names) {
        auto client = Try(name);
        if (client || fatal_) return client;
      }
      if (!options_.start_agent) return Fail(ErrorCode::kUsage, Nobody(names) + ": start `nccl-relay agent` on it");
      if (clock_.Now() >= deadline_) return Fail(ErrorCode::kSystem, Nobody(names) + " in time");
      if (std::exchange(waits_, false)) {
        Pause(pause = std::min<Duration>(2 * pause, std::chrono::milliseconds(500)));
        continue;
      }
      RELAY_TRY(SpawnAgent({options_.agent_program, options_.agent_log, deadline_}, clock_));
      // Ready, yet perhaps gone again: an agent that idles out just now closes the door on whoever waits at it.
      if (started_) Pause(pause = std::min<Duration>(2 * pause, std::chrono::milliseconds(500)));
      started_ = true;
    }
  }

 private:
  Result<std::unique_ptr<Client>> Try(const std::string& name) {
    auto fd = ConnectSocket(name);
    if (!fd) {
      fatal_ = fd.error().code == ErrorCode::kUsage;
      if (!NobodyThere(fd.error())) reason_ = fd.error().what;
      return tl::unexpected<Error>(std::move(fd).error());
    }
    // Root may look at any agent; a job of root's does not pass its circuits through another user's.
    const bool looks = geteuid() == 0 && options_.plugin.empty();
    auto pid = CheckPeer(fd->get(), "the agent's control socket " + name, looks ? Users::kAnyone : Users::kOwnAndRoot);
    if (!pid) {
      // One that an earlier job started ends now, or when that job has.
      waits_ = options_.start_agent;
      fatal_ = !waits_;
      reason_ = pid.error().what;
      return tl::unexpected<Error>(std::move(pid).error());
    }
    std::unique_ptr<Client> client(new Client(std::move(*fd), *pid));
    auto greeted = Greet(*client);
    if (greeted) return client;
    reason_ = greeted.error().what;
    fatal_ = greeted.error().code != ErrorCode::kRemote;
    return tl::unexpected<Error>(std::move(greeted).error());
  }

  Status Greet(Client& client) {
    // An agent that does not serve this process says so, and may have hung up by then.
    const Status sent = client.Send({0, Hello{kVersion, options_.build, options_.plugin}});
    while (true) {
      auto received = client.Receive();
      if (!received && !sent) return sent;
      RELAY_TRY(received);
      if (!*received) {
        if (WaitUntil(client.fd(), POLLIN, deadline_, clock_)) continue;
        return Fail(ErrorCode::kSystem, "the agent of this node (process " + std::to_string(client.agent_pid()) +
                                            ") does not answer on its control socket");
      }
      Message& message = (*received)->packet.message;
      if (auto* failed = std::get_if<Failed>(&message)) {
        waits_ = !failed->refused.final && options_.start_agent;
        return Fail(waits_ ? ErrorCode::kRemote : ErrorCode::kUsage, failed->refused.sentence);
      }
      auto* welcome = std::get_if<Welcome>(&message);
      if (welcome == nullptr) return Fail(ErrorCode::kInternal, "the agent of this node does not say WELCOME");
      if (welcome->version > kVersion || welcome->version + 1 < kVersion) {
        return Fail(ErrorCode::kUsage, "the agent of this node is nccl-relay " + welcome->build + ", this is " +
                                           RELAY_VERSION + ": more than one version apart");
      }
      client.welcome_ = std::move(*welcome);
      return {};
    }
  }

  std::string Nobody(const std::vector<std::string>& names) const {
    return "no agent answers on this node (" + Join(names) + (reason_.empty() ? "" : "; " + reason_) + ")";
  }

  const ClientOptions& options_;
  const Clock& clock_;
  const TimePoint deadline_;
  bool started_ = false;
  bool fatal_ = false;  // trying again cannot help
  bool waits_ = false;  // an agent answers that does not serve this process now, and may later
  std::string reason_;  // why the last name that was there did not serve
};

Result<std::unique_ptr<Client>> Client::Connect(const ClientOptions& options, const Clock& clock) {
  return Connector(options, clock).Run();
}

Status Client::Send(const Packet& packet) {
  if (outbox_.size() >= kMaxOutbox) return Fail(ErrorCode::kRemote, "the agent of this node does not read any more");
  outbox_.push_back(Encode(packet));
  return Flush();
}

Status Client::Flush() {
  while (!outbox_.empty()) {
    auto sent = SendPacket(fd_.get(), outbox_.front());
    if (!sent) return Fail(ErrorCode::kRemote, "the agent of this node is gone: " + sent.error().what);
    if (!*sent) break;
    outbox_.pop_front();
  }
  return {};
}

Result<std::optional<Received>> Client::Receive() {
  auto received = ReceivePacket(fd_.get());
  if (!received && received.error().code == ErrorCode::kRemote) {
    return Fail(ErrorCode::kRemote, "the agent of this node is gone: " + received.error().what,
                received.error().sys_errno);
  }
  return received;
}

Result<std::string> Ask(Client& client, const std::string& question, Duration deadline, const Clock& clock) {
  constexpr uint64_t kRequest = 1;
  const TimePoint until = clock.Now() + deadline;
  RELAY_TRY(client.Send({kRequest, Query{question}}));
  std::string text;
  while (true) {
    auto received = client.Receive();
    RELAY_TRY(received);
    if (!*received) {
      auto events = static_cast<short>(client.wants_write() ? POLLIN | POLLOUT : POLLIN);
      if (!WaitUntil(client.fd(), events, until, clock)) {
        return Fail(ErrorCode::kSystem, "the agent of this node does not answer in time");
      }
      RELAY_TRY(client.Flush());
      continue;
    }
    Packet& packet = (*received)->packet;
    if (packet.request != kRequest) continue;
    if (auto* answer = std::get_if<Answer>(&packet.message)) {
      text += answer->text;
      if (!answer->more) return text;
      if (text.size() > kMostAnswer) return Fail(ErrorCode::kRemote, "the agent of this node answers without end");
    }
    if (auto* failed = std::get_if<Failed>(&packet.message)) return Fail(ErrorCode::kUsage, failed->refused.sentence);
  }
}

}  // namespace relay::control
