// "nccl-relay lab up" and "down": a lab that stays until it is told to go.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lab/box.h"
#include "lab/commands.h"
#include "lab/lab.h"
#include "lab/supervisor.h"

namespace relay::lab {
namespace {

constexpr std::chrono::seconds kLeaveTime{2};
constexpr int kPatienceMs = 120000;  // for a large lab to come up
constexpr int kGoodbyeMs = 10000;

void LeaveTerminal() {
  ::setsid();
  const Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing.get(), fd);
}

// Reaps orphans until it is told to end.
void Hold() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  while (true) {
    const int signal = ::sigwaitinfo(&set, nullptr);
    if (signal == SIGTERM || signal == SIGINT) return;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

// Says "+" or the complaint to whoever called "lab up".
int Stay(const Lab& lab, const Inside& inside, Fd ready) {
  const Result<OpenLab> open = Open(lab, inside.outer_pid);
  const std::string said = open ? "+" : open.error().what;
  if (open) LeaveTerminal();
  WriteOut(ready.get(), said);
  ready.reset();
  if (open) Hold();
  EmptyBox(kLeaveTime);
  RemoveState(lab.state.path);
  return open ? 0 : kLabFailed;
}

std::string AwaitReady(int fd) {
  std::string said;
  char buffer[4096];
  for (pollfd ready{fd, POLLIN, 0}; ::poll(&ready, 1, kPatienceMs) == 1;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return said;
    said.append(buffer, static_cast<size_t>(n));
  }
  return "it did not come up in time";
}

bool IsPlainName(const std::string& name) {
  constexpr char kAllowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= 64 && name[0] != '.' && name.find_first_not_of(kAllowed) == name.npos;
}

}  // namespace

int Up(const LabOptions& options, const std::string& name) {
  if (!IsPlainName(name)) return Complain({ErrorCode::kUsage, 0, "--name: letters, digits, . _ -"});
  LabOptions adjusted = options;
  // Where ranks will be is not known yet, so every node can relay.
  if (adjusted.agents == "auto") adjusted.agents = "all";
  const Result<Lab> lab = Prepare(adjusted, {name, {}});
  if (!lab) return Complain(lab.error());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Complain({ErrorCode::kSystem, errno, "pipe"});
  const Fd heard(ends[0]);
  Fd ready(ends[1]);
  BlockSignals();
  const Result<Box> box = MakeBox(false, [&](const Inside& inside) { return Stay(*lab, inside, Fd(ready.release())); });
  ready.reset();
  const std::string said = box ? AwaitReady(heard.get()) : box.error().what;
  if (said == "+") {
    fmt::print("lab \"{}\" is up: {} with {} nodes; logs in {}\n", name, options.fabric.topology,
               lab->plan.nodes.size(), lab->log_dir);
    return 0;
  }
  if (box) ::kill(box->pid, SIGKILL);
  RemoveState(lab->state.path);
  return Complain({ErrorCode::kSystem, 0, said.empty() ? "its first process ended early" : said});
}

int Down(const std::string& name) {
  const Result<State> state = FindLab(name);
  if (!state) return Complain(state.error());
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, state->pid, 0)));
  ::kill(state->pid, SIGTERM);
  pollfd ended{process.get(), POLLIN, 0};
  if (process && ::poll(&ended, 1, kGoodbyeMs) != 1) {
    ::kill(state->pid, SIGKILL);
    ::poll(&ended, 1, kGoodbyeMs);
  }
  (void)LiveLabs();
  return 0;
}

int ListLabs() {
  for (const State& lab : LiveLabs()) {
    std::string nodes;
    for (const StateNode& node : lab.nodes) nodes += " " + node.facts.name;
    fmt::print("{}: {}, process {}, nodes{}\n", lab.name, lab.topology, lab.pid, nodes);
  }
  return 0;
}

}  // namespace relay::lab
