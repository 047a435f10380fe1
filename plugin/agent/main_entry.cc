#include "agent/main_entry.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "agent/agent.h"
#include "agent/interfaces.h"
#include "agent/options.h"
#include "agent/refusal.h"
#include "agent/scheduling.h"
#include "base/log.h"

namespace relay::agent {
namespace {

constexpr size_t kMaxFabricFile = 16 << 20;

// Says one line to whoever started the agent, once.
class StatusPipe {
 public:
  explicit StatusPipe(int fd) : fd_(fd) {
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  void Say(std::string line) {
    if (!fd_) return;
    line += '\n';
    // Whoever stopped listening does not want to know.
    if (write(fd_.get(), line.data(), line.size()) < 0) RELAY_TRACE("nobody reads the status");
    fd_.reset();
  }

 private:
  Fd fd_;
};

Result<std::string> ReadFile(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(ErrorCode::kUsage, "cannot read the declared fabric " + path + " (NCCL_RELAY_FABRIC)");
  std::string text;
  char piece[16384];
  ssize_t n;
  while ((n = read(fd.get(), piece, sizeof piece)) > 0) {
    text.append(piece, static_cast<size_t>(n));
    if (text.size() > kMaxFabricFile) return Fail(ErrorCode::kUsage, path + " is too large for a fabric");
  }
  if (n < 0) return FailErrno(ErrorCode::kUsage, "cannot read the declared fabric " + path + " (NCCL_RELAY_FABRIC)");
  return text;
}

Result<LocalNode> LoadNode(const Knobs& knobs) {
  if (knobs.fabric.empty()) {
    return Fail(ErrorCode::kUsage,
                "no fabric is declared: set NCCL_RELAY_FABRIC to the path of a fabric.json that this node can read");
  }
  auto text = ReadFile(knobs.fabric);
  RELAY_TRY(text);
  auto fabric = fabric::ParseFabric(*text, knobs.fabric);
  RELAY_TRY(fabric);
  auto interfaces = ReadInterfaces();
  RELAY_TRY(interfaces);
  return FindLocalNode(std::move(*fabric), *interfaces, knobs);
}

// A daemon is also found by its path, where the operator made the folder for it. An agent that a plugin started is only
// there for its own network namespace, and a path would be seen from others.
std::vector<std::string> NamesToServe(const Knobs& knobs, bool auto_started) {
  auto names = control::SocketNames(knobs.socket);
  if (!knobs.socket.empty()) return names;
  std::vector<std::string> out;
  for (const std::string& name : names) {
    std::string folder = name.substr(0, name.rfind('/') + 1);
    if (name[0] == '@' || (!auto_started && access(folder.c_str(), W_OK) == 0)) out.push_back(name);
  }
  return out;
}

void SetLevel(const std::string& level) {
  if (level == "warn") SetLogLevel(LogLevel::kWarn);
  if (level == "trace") SetLogLevel(LogLevel::kTrace);
}

// SIGTERM and SIGINT end the loop.
Status WatchSignals(EventLoop& loop, Fd& out) {
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  sigprocmask(SIG_BLOCK, &ending, nullptr);
  out = Fd(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out) return FailErrno(ErrorCode::kSystem, "cannot watch for signals");
  return loop.Watch(out.get(), EPOLLIN, [&loop](uint32_t) { loop.Stop(); });
}

void Announce(const Agent& agent, const std::vector<std::string>& names) {
  std::string sockets;
  for (const std::string& name : names) sockets += (sockets.empty() ? "" : " and ") + name;
  RELAY_INFO("agent of node %s, port %u, control socket %s, fabric %s (%s)", agent.node().name().c_str(),
             agent.node().port, sockets.c_str(), agent.node().fabric.name.c_str(),
             HashText(agent.node().agreement).c_str());
}

// Its starter waits for the process that it started, which ends here; the agent itself becomes nobody's child. Not
// earlier, because an agent that fails before would be left, ended, to whoever collects orphans, and in a container
// that may be nobody.
void LeaveStarter(const std::vector<int>& listeners) {
  pid_t pid = fork();
  if (pid > 0) _exit(0);
  if (pid < 0) RELAY_WARN("the agent stays in the foreground: it cannot fork");
  ControlSocket::ListenAgain(listeners);
}

struct Ended {
  bool served_by_other = false;
};

Result<Ended> Serve(const Arguments& arguments, StatusPipe& status) {
  auto knobs = LoadKnobs([](const char* name) -> const char* { return getenv(name); }, environ);
  RELAY_TRY(knobs);
  SetLevel(knobs->log);
  auto node = LoadNode(*knobs);
  RELAY_TRY(node);

  std::optional<ControlSocket::Taken> taken;
  auto socket = ControlSocket::Bind(NamesToServe(*knobs, arguments.auto_started), taken);
  // Of several agents that plugins start at once, one wins and serves them all.
  if (!socket && taken && arguments.auto_started) return Ended{true};
  RELAY_TRY(socket);
  const std::vector<std::string> names = socket->names();
  std::vector<int> listeners;
  for (const Fd& fd : socket->fds()) listeners.push_back(fd.get());

  SystemClock clock;
  EventLoop loop(clock);
  AgentOptions options{std::move(*node), knobs->linger, arguments.auto_started, DescriptorLimit()};
  auto agent = Agent::Start(loop, std::move(options), std::move(*socket));
  RELAY_TRY(agent);
  if (arguments.auto_started && !arguments.foreground) LeaveStarter(listeners);
  Fd signals;  // of the process that stays: a signalfd is its maker's
  RELAY_TRY(WatchSignals(loop, signals));
  // Whatever file system this was started in may be unmounted.
  if (arguments.auto_started && chdir("/") != 0) RELAY_TRACE("cannot leave the folder this was started in");
  if (!RunUrgently()) RELAY_INFO("the agent runs at normal priority: it may not set another (CAP_SYS_NICE)");
  Announce(**agent, names);
  status.Say("ready");
  loop.Run();
  return Ended{};
}

}  // namespace

int Main(int argc, char** argv) {
  prctl(PR_SET_NAME, "nccl-relay");
  SetLogSink(StderrSink);
  signal(SIGPIPE, SIG_IGN);  // splice has no MSG_NOSIGNAL
  umask(077);
  auto arguments = ParseArguments(argc, argv);
  if (!arguments) {
    RELAY_WARN("%s", arguments.error().what.c_str());
    return 2;
  }
  if (arguments->help) {
    fputs(kHelp, stdout);
    return 0;
  }
  StatusPipe status(arguments->status_fd);
  auto ended = Serve(*arguments, status);
  if (!ended) {
    RELAY_WARN("%s", ended.error().what.c_str());
    status.Say(ended.error().what);
    return 1;
  }
  status.Say("ready");
  return 0;
}

}  // namespace relay::agent
