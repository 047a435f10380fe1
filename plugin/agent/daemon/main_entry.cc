#include "agent/daemon/main_entry.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "agent/agent.h"
#include "agent/daemon/options.h"
#include "agent/daemon/scheduling.h"
#include "agent/daemon/service_manager.h"
#include "agent/daemon/settings.h"
#include "agent/node/local_interfaces.h"
#include "agent/node/refusal.h"
#include "base/agent_settings.h"
#include "base/log.h"

namespace relay::agent {
namespace {

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

// A declared node whole; of a discovered one, what does not depend on what is found.
Result<LocalNode> LoadNode(const Knobs& knobs) {
  LocalNode node;
  node.port = static_cast<uint16_t>(knobs.port);
  node.connect_timeout = knobs.connect_timeout;
  node.hop.hop_timeout = knobs.hop_timeout;
  if (knobs.fabric.empty()) return node;
  auto text = ReadFile(knobs.fabric, "the declared fabric (NCCL_RELAY_FABRIC)");
  RELAY_TRY(text);
  auto fabric = fabric::ParseFabric(*text, knobs.fabric);
  RELAY_TRY(fabric);
  auto interfaces = ReadInterfaces();
  RELAY_TRY(interfaces);
  return FindLocalNode(std::move(*fabric), *interfaces, knobs);
}

Result<std::shared_ptr<const Key>> LoadKey(const Knobs& knobs) {
  if (knobs.key_file.empty()) return nullptr;
  return Key::Load(knobs.key_file);
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

LiveFabric::Options DiscoverOptions(const Knobs& knobs, const std::shared_ptr<const Key>& key) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const auto wall = static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
  LiveFabric::Options options{TakeIdentity(RuntimeDirectory(), wall), HostName(), knobs.ifname, knobs.peers, key,
                              knobs.rdma != knob::Automatic::kOff};
  if (!options.identity.kept) RELAY_INFO("this node's id is not kept: no runtime directory can be written");
  if (key == nullptr) RELAY_INFO("the fabric is open: any agent on its wires may join (NCCL_RELAY_KEY_FILE closes it)");
  return options;
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

// SIGTERM and SIGINT end the agent, a second one at once; SIGHUP reads its settings anew.
Status WatchSignals(EventLoop& loop, Fd& out, std::function<void(int)> on_signal) {
  sigset_t watched;
  sigemptyset(&watched);
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, number);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  out = Fd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out) return FailErrno(ErrorCode::kSystem, "cannot watch for signals");
  return loop.Watch(out.get(), EPOLLIN, [fd = out.get(), on_signal = std::move(on_signal)](uint32_t) {
    signalfd_siginfo info{};
    while (read(fd, &info, sizeof info) == sizeof info) on_signal(static_cast<int>(info.ssi_signo));
  });
}

// The plugin's file alone has no HTTP server.
Result<std::shared_ptr<void>> StartMetricsOf(const StartMetrics& start, const std::string& where,
                                             const std::string& socket) {
  if (where.empty()) return nullptr;
  if (!start) return Fail(ErrorCode::kUsage, "metrics are served by the program nccl-relay, not by the plugin's file");
  return start(where, socket);
}

// `running`: what the agent goes by.
void Reload(Agent& agent, const std::string& config, Knobs& running) {
  TellServiceManager("RELOADING=1");
  auto settings = LoadSettings(config);
  auto key = settings ? LoadKey(settings->knobs) : Result<std::shared_ptr<const Key>>(nullptr);
  if (!settings || !key) {
    const Error& error = settings ? key.error() : settings.error();
    RELAY_WARN("the settings stay as they were: %s", error.what.c_str());
  } else {
    SetLogLevel(settings->knobs.log);
    running.ifname = settings->knobs.ifname;
    running.peers = settings->knobs.peers;
    running.key_file = settings->knobs.key_file;
    agent.Reconfigure({running.ifname, running.peers, std::move(*key), AgentSettingsText(running)});
    RELAY_INFO("the settings are read anew");
  }
  TellServiceManager("READY=1");
}

void Announce(const Agent& agent, const std::vector<std::string>& names) {
  std::string sockets;
  for (const std::string& name : names) sockets += (sockets.empty() ? "" : " and ") + name;
  const LocalNode& node = agent.node();
  const std::string fabric = node.declared ? node.fabric.name + " (" + HashText(node.agreement) + ")" : "discovered";
  RELAY_INFO("agent of node %s (%s), port %u, control socket %s, fabric %s", node.name().c_str(),
             HashText(node.node().id).c_str(), node.port, sockets.c_str(), fabric.c_str());
}

// Its starter waits for the process that it started. That one stays until the agent, its child, is ready, and then
// leaves it to nobody; an agent that fails before is collected here and not left, ended, to whoever collects orphans,
// because in a container that may be nobody. Returns in the agent, with what is to be closed when it is ready.
Result<Fd> LeaveStarter() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "cannot make a pipe");
  Fd reader(ends[0]), writer(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) {
    return FailErrno(ErrorCode::kSystem,
                     "cannot make a process: raise `ulimit -u`, or the container's limit of processes");
  }
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // whoever ends the process that it started means the agent
    return writer;
  }
  writer.reset();
  char ready;
  if (read(reader.get(), &ready, 1) == 1) _exit(0);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

void ReleaseStarter(Fd held) {
  if (!held) return;
  prctl(PR_SET_PDEATHSIG, 0);
  if (write(held.get(), "", 1) < 0) RELAY_TRACE("nobody waits for the agent to be ready");
}

Status Serve(const Arguments& arguments, const StartMetrics& start_metrics, StatusPipe& status) {
  auto held = arguments.auto_started && !arguments.foreground ? LeaveStarter() : Result<Fd>(Fd());
  RELAY_TRY(held);
  auto settings = LoadSettings(arguments.config);
  RELAY_TRY(settings);
  const Knobs& knobs = settings->knobs;
  Knobs running = knobs;
  SetLogLevel(knobs.log);
  auto node = LoadNode(knobs);
  RELAY_TRY(node);
  node->settings = AgentSettingsText(knobs);
  auto key = LoadKey(knobs);
  RELAY_TRY(key);

  std::optional<ControlSocket::Taken> taken;
  auto socket = ControlSocket::Bind(NamesToServe(knobs, arguments.auto_started), taken, settings->users);
  // Where plugins start several agents at once, one wins and serves them all.
  if (!socket && taken && arguments.auto_started) return {};
  RELAY_TRY(socket);
  const std::vector<std::string> names = socket->names();

  SystemClock clock;
  EventLoop loop(clock);
  AgentOptions options{.node = std::move(*node),
                       .discover = {},
                       .key = *key,
                       .linger = knobs.linger,
                       .auto_started = arguments.auto_started,
                       .descriptors = DescriptorLimit(),
                       .registered = knobs.registered,
                       .gpu_slots = knobs.staging == knob::Staging::kGpu};
  if (knobs.fabric.empty()) options.discover = DiscoverOptions(knobs, *key);
  auto agent = Agent::Start(loop, std::move(options), std::move(*socket));
  RELAY_TRY(agent);
  Fd signals;
  RELAY_TRY(WatchSignals(loop, signals, [&](int number) {
    if (number == SIGHUP) return Reload(**agent, arguments.config, running);
    TellServiceManager("STOPPING=1");
    (*agent)->Drain(settings->drain_timeout);
  }));
  auto metrics = StartMetricsOf(start_metrics, settings->metrics, names.front());
  RELAY_TRY(metrics);
  // Whatever file system this was started in may be unmounted.
  if (arguments.auto_started && chdir("/") != 0) RELAY_TRACE("cannot leave the folder this was started in");
  if (arguments.auto_started) {
    if (const std::string left = ShedTheStartersBounds(); !left.empty()) RELAY_WARN("the agent keeps %s", left.c_str());
  }
  if (!RunUrgently()) RELAY_INFO("the agent runs at normal priority: it may not set another (CAP_SYS_NICE)");
  Announce(**agent, names);
  status.Say("ready");
  ReleaseStarter(std::move(*held));
  TellServiceManager("READY=1\nSTATUS=node " + (*agent)->node().name());
  loop.Run();
  return {};
}

}  // namespace

int Main(int argc, char** argv, const StartMetrics& start_metrics) {
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
  auto ended = Serve(*arguments, start_metrics, status);
  if (!ended) {
    RELAY_WARN("%s", ended.error().what.c_str());
    status.Say(ended.error().what);
    return 1;
  }
  status.Say("ready");
  return 0;
}

}  // namespace relay::agent
