#include "control/spawn.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace relay::control {
namespace {

constexpr int kStatusFd = 3;
constexpr int kAboveStandard = 10;  // clear of every number that the started process gives a meaning to

// The file that this code was loaded from.
std::string ThisLibrary() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&ThisLibrary), &info) == 0 || info.dli_fname == nullptr) return {};
  char* real = realpath(info.dli_fname, nullptr);
  std::string path = real != nullptr ? real : info.dli_fname;
  free(real);
  return path;
}

int FirstInterpreter(dl_phdr_info* info, size_t, void* out) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    if (info->dlpi_phdr[i].p_type != PT_INTERP) continue;
    *static_cast<std::string*>(out) = reinterpret_cast<const char*>(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  }
  return 1;  // the first object is the program
}

std::string ProgramInterpreter() {
  std::string path;
  dl_iterate_phdr(FirstInterpreter, &path);
  for (const char* usual : {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"}) {
    if (path.empty() && access(usual, X_OK) == 0) path = usual;
  }
  return path;
}

Result<std::vector<std::string>> CommandLine(const std::string& program) {
  std::vector<std::string> command;
  if (!program.empty()) {
    command = {program};
  } else {
    std::string library = ThisLibrary();
    std::string beside = library.substr(0, library.rfind('/') + 1) + "nccl-relay";
    std::string interpreter = ProgramInterpreter();
    if (access(beside.c_str(), X_OK) == 0) {
      command = {beside};
    } else if (!library.empty() && !interpreter.empty()) {
      command = {interpreter, library};
    } else {
      return Fail(ErrorCode::kSystem, "cannot start an agent: neither " + beside +
                                          " nor a program interpreter is there; start `nccl-relay agent` by hand");
    }
  }
  for (const char* argument : {"agent", "--auto", "--status-fd", "3"}) command.emplace_back(argument);
  return command;
}

struct FileActions {
  posix_spawn_file_actions_t actions;
  FileActions() { posix_spawn_file_actions_init(&actions); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions); }
};

struct Attributes {
  posix_spawnattr_t attributes;
  Attributes() { posix_spawnattr_init(&attributes); }
  ~Attributes() { posix_spawnattr_destroy(&attributes); }
};

// What an agent and the libraries that it loads read. The rest is the job's own, tokens among it, and the agent
// outlives the job; NOTIFY_SOCKET, too, is that of whoever manages the job.
bool IsForTheAgent(std::string_view variable) {
  constexpr std::string_view kPrefixes[] = {"NCCL_RELAY_", "LD_",   "IBV_",  "RDMAV_", "MLX", "CUDA_",        "NVIDIA_",
                                            "ASAN_",       "LSAN_", "TSAN_", "UBSAN_", "LC_", "LLVM_PROFILE", "GCOV_"};
  constexpr std::string_view kNames[] = {"PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "LANG", "TZ"};
  const std::string_view name = variable.substr(0, variable.find('='));
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](auto prefix) { return name.starts_with(prefix); }) ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::vector<char*> EnvironmentOfTheAgent() {
  std::vector<char*> out;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (IsForTheAgent(*variable)) out.push_back(*variable);
  }
  out.push_back(nullptr);
  return out;
}

// A session of its own, no signal blocked or ignored, and not one descriptor of this process: a pipe of the job that
// the agent kept open would keep the job's launcher waiting.
Result<pid_t> Start(const std::vector<std::string>& command, const std::string& log, int status) {
  FileActions files;
  posix_spawn_file_actions_addopen(&files.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files.actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files.actions, 2, log.empty() ? "/dev/null" : log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files.actions, status, kStatusFd);
  posix_spawn_file_actions_addclosefrom_np(&files.actions, kStatusFd + 1);

  Attributes how;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&how.attributes, &none);
  posix_spawnattr_setsigdefault(&how.attributes, &all);
  posix_spawnattr_setflags(&how.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::vector<char*> environment = EnvironmentOfTheAgent();
  pid_t pid = -1;
  int err = posix_spawn(&pid, command[0].c_str(), &files.actions, &how.attributes, argv.data(), environment.data());
  if (err != 0) {
    std::string hint = log.empty() ? "" : " (or its log " + log + ")";
    if (err == EAGAIN) hint += ", raise `ulimit -u` or the container's limit of processes";
    return FailErrno(ErrorCode::kSystem, "cannot start the agent " + command[0] + hint, err);
  }
  return pid;
}

// The one line that the agent says about itself; empty when it ended without a word.
Result<std::string> ReadLine(int fd, TimePoint deadline, const Clock& clock) {
  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < 2048) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now()).count();
    if (left <= 0) return Fail(ErrorCode::kSystem, "the agent that was started is not ready in time");
    pollfd p{fd, POLLIN, 0};
    if (poll(&p, 1, static_cast<int>(std::min<int64_t>(left, 1000))) <= 0) continue;
    char text[512];
    ssize_t n = read(fd, text, sizeof text);
    if (n == 0 || (n < 0 && errno != EINTR)) break;
    if (n > 0) line.append(text, static_cast<size_t>(n));
  }
  return line.substr(0, line.find('\n'));
}

// What was started ends at once: the agent itself is its child and belongs to init.
int Reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 0;  // the host program reaps every child itself
  }
  return status;
}

struct StatusPipe {
  Fd ours, theirs;
};

Result<StatusPipe> MakePipe() {
  fork_guard::Section section;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "cannot make a pipe");
  StatusPipe pipe{.ours = Fd(ends[0]), .theirs = {}};
  Fd made(ends[1]);
  pipe.theirs = Fd(fcntl(made.get(), F_DUPFD_CLOEXEC, kAboveStandard));
  if (!pipe.theirs) return FailErrno(ErrorCode::kSystem, "no descriptor is left in this process: raise `ulimit -n`");
  return pipe;
}

}  // namespace

Status SpawnAgent(const SpawnOptions& options, const Clock& clock) {
  auto command = CommandLine(options.program);
  RELAY_TRY(command);
  auto pipe = MakePipe();
  RELAY_TRY(pipe);
  Fd &ours = pipe->ours, &theirs = pipe->theirs;

  auto pid = Start(*command, options.log, theirs.get());
  RELAY_TRY(pid);
  theirs.reset();
  auto line = ReadLine(ours.get(), options.deadline, clock);
  if (!line) kill(*pid, SIGKILL);
  int status = Reap(*pid);
  RELAY_TRY(line);
  if (*line == "ready") return {};
  if (!line->empty()) return Fail(ErrorCode::kUsage, "this node's agent cannot start: " + *line);
  std::string end = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                        : "exit status " + std::to_string(WEXITSTATUS(status));
  return Fail(ErrorCode::kSystem, "the agent " + command->front() + " ended before it was ready (" + end +
                                      "): run `nccl-relay agent` by hand to see why");
}

}  // namespace relay::control
