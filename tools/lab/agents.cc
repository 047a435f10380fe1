#include "lab/agents.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "lab/lines.h"
#include "lab/process.h"

namespace relay::lab {
namespace {

constexpr std::chrono::seconds kListenTime{10};

bool Listens(const AgentStart& start) {
  const Environment environment(start.environment);
  const std::string name = environment.Get("NCCL_RELAY_SOCKET").value_or("@nccl-relay");
  std::string sockets;
  const Status read = InNetwork(*start.space, [&] { sockets = ReadFile("/proc/self/net/unix"); });
  return read && sockets.find(" " + name + "\n") != std::string::npos;
}

}  // namespace

Result<std::vector<size_t>> NodeList(const Plan& plan, std::string_view names) {
  std::vector<size_t> nodes;
  while (!names.empty()) {
    const size_t end = std::min(names.find(','), names.size());
    const Result<size_t> node = FindNodeNamed(plan, names.substr(0, end));
    RELAY_TRY(node);
    if (std::find(nodes.begin(), nodes.end(), *node) == nodes.end()) nodes.push_back(*node);
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return nodes;
}

Result<std::vector<size_t>> AgentNodes(const Plan& plan, std::string_view mode, const std::vector<size_t>& rank_nodes) {
  if (mode == "none") return std::vector<size_t>{};
  if (mode != "all" && mode != "auto") return NodeList(plan, mode);
  std::vector<size_t> nodes;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const bool has_rank = std::find(rank_nodes.begin(), rank_nodes.end(), i) != rank_nodes.end();
    if (mode == "all" || !has_rank) nodes.push_back(i);
  }
  return nodes;
}

Result<pid_t> StartAgent(const AgentStart& start) {
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno(ErrorCode::kSystem, "fork");
  if (pid > 0) return pid;
  ResetSignals();
  ::setpgid(0, 0);
  const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Fd log(::open(start.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(log.get(), STDOUT_FILENO);
  ::dup2(log.get(), STDERR_FILENO);
  if (const Status entered = Enter(*start.space, "/"); !entered) {
    fmt::print(stderr, "{}\n", entered.error().what);
    ::_exit(126);
  }
  Execute({start.program, "agent"}, start.environment);
}

Status AwaitAgent(const AgentStart& start, pid_t pid) {
  const SystemClock clock;
  const TimePoint deadline = clock.Now() + kListenTime;
  while (!Listens(start)) {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      return Fail(ErrorCode::kSystem, fmt::format("the agent of {} ended with status {} at once:\n{}", start.node,
                                                  ExitStatus(status), TailOfLog(start.log, "  ")));
    }
    if (clock.Now() > deadline) {
      return Fail(ErrorCode::kSystem,
                  fmt::format("the agent of {} does not listen:\n{}", start.node, TailOfLog(start.log, "  ")));
    }
    ::usleep(2000);
  }
  return {};
}

std::string TailOfLog(const std::string& path, const std::string& prefix) {
  constexpr size_t kEnough = 8 * 1024;
  std::string text = ReadFile(path);
  if (text.size() > kEnough) text.erase(0, text.find('\n', text.size() - kEnough) + 1);
  LinePrefixer lines(prefix);
  std::string out = lines.Feed(text);
  return out + lines.Finish();
}

}  // namespace relay::lab
