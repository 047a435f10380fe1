// "nccl-relay lab exec": a command in a node of a lab that is up.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "lab/commands.h"
#include "lab/environment.h"
#include "lab/node_space.h"
#include "lab/process.h"
#include "lab/state.h"

namespace relay::lab {
namespace {

Result<Fd> OpenPath(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(ErrorCode::kSystem, "open " + path);
  return fd;
}

bool Same(int a, int b) {
  struct stat x {
  }, y{};
  return ::fstat(a, &x) == 0 && ::fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

// This process's children will be of the box.
Status JoinBox(pid_t pid) {
  const Result<Fd> user = OpenPath(fmt::format("/proc/{}/ns/user", pid));
  RELAY_TRY(user);
  const Result<Fd> own = OpenPath("/proc/self/ns/user");
  RELAY_TRY(own);
  const Result<Fd> processes = OpenPath(fmt::format("/proc/{}/ns/pid", pid));
  RELAY_TRY(processes);
  const Result<Fd> ipc = OpenPath(fmt::format("/proc/{}/ns/ipc", pid));
  RELAY_TRY(ipc);
  if (!Same(user->get(), own->get()) && ::setns(user->get(), CLONE_NEWUSER) != 0) {
    return FailErrno(ErrorCode::kSystem, "enter the lab's user namespace");
  }
  if (::setns(processes->get(), CLONE_NEWPID) != 0 || ::setns(ipc->get(), CLONE_NEWIPC) != 0) {
    return FailErrno(ErrorCode::kSystem, "enter the lab");
  }
  return {};
}

Result<NodeSpace> OpenNode(pid_t pid, const StateNode& node) {
  NodeSpace space;
  for (auto [fd, number] : {std::pair(&space.network, node.network), std::pair(&space.mounts, node.mounts),
                            std::pair(&space.host, node.host)}) {
    Result<Fd> opened = OpenPath(fmt::format("/proc/{}/fd/{}", pid, number));
    RELAY_TRY(opened);
    *fd = std::move(*opened);
  }
  return space;
}

Result<int> ExecIn(const State& state, const StateNode& node, const std::vector<std::string>& command) {
  const Result<NodeSpace> space = OpenNode(state.pid, node);
  RELAY_TRY(space);
  std::error_code ignored;
  const std::string here = std::filesystem::current_path(ignored);
  Environment environment(environ);
  DescribeNode(environment, state.control, node.facts);
  DescribeMaster(environment, state.master_address);
  for (const std::string& assignment : state.env) environment.Apply(assignment);
  RELAY_TRY(JoinBox(state.pid));
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno(ErrorCode::kSystem, "fork");
  if (pid == 0) {
    if (const Status entered = Enter(*space, here); !entered) {
      fmt::print(stderr, "lab: {}\n", entered.error().what);
      ::_exit(kLabFailed);
    }
    Execute(command, environment.list());
  }
  // The terminal's signals reach the command itself; this process only waits for it.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGQUIT, SIG_IGN);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return ExitStatus(status);
}

}  // namespace

int Exec(const ExecOptions& options) {
  const auto complain = [](const Error& error) {
    fmt::print(stderr, "lab: {}\n", error.what);
    return kLabFailed;
  };
  const Result<State> state = FindLab(options.name);
  if (!state) return complain(state.error());
  std::string names;
  for (const StateNode& node : state->nodes) {
    names += " " + node.facts.name;
    if (node.facts.name != options.node) continue;
    const Result<int> status = ExecIn(*state, node, options.command);
    return status ? *status : complain(status.error());
  }
  return complain(
      {ErrorCode::kUsage, 0, fmt::format("no node {} in lab \"{}\"; there are{}", options.node, state->name, names)});
}

}  // namespace relay::lab
