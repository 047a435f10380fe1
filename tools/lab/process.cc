#include "lab/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace relay::lab {
namespace {

Result<Fd> TextFile(std::string_view text) {
  Fd fd(memfd_create("nccl-relay-lab", MFD_CLOEXEC));
  if (!fd) return FailErrno(ErrorCode::kSystem, "memfd_create");
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return FailErrno(ErrorCode::kSystem, "write to memory");
  }
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

[[noreturn]] void RunHelper(const std::vector<std::string>& arguments, int input, int output,
                            const std::function<Status()>& enter) {
  ResetSignals();
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  if (const Status entered = enter(); !entered) {
    fmt::print(stderr, "{}\n", entered.error().what);
    ::_exit(126);
  }
  ::execv(arguments[0].c_str(), Pointers(arguments).data());
  fmt::print(stderr, "{}: {}\n", arguments[0], std::strerror(errno));
  ::_exit(127);
}

}  // namespace

Result<std::string> FindProgram(const std::string& name, const std::string& debian_package) {
  const char* path = std::getenv("PATH");
  std::string places = fmt::format("{}:/usr/sbin:/sbin:/usr/bin:/bin", path ? path : "");
  while (!places.empty()) {
    const size_t end = std::min(places.find(':'), places.size());
    const std::string candidate = places.substr(0, end) + "/" + name;
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    places.erase(0, end + 1);
  }
  return Fail(ErrorCode::kSystem,
              fmt::format("the lab needs the program \"{}\" (Debian: apt install {})", name, debian_package));
}

void ResetSignals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) ::signal(signal, SIG_DFL);
}

void Execute(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  ::execvpe(arguments[0].c_str(), Pointers(arguments).data(), Pointers(environment).data());
  fmt::print(stderr, "{}: {}\n", arguments[0], std::strerror(errno));
  ::_exit(127);
}

int ExitStatus(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

Result<Helper> Helper::Start(std::vector<std::string> arguments, std::string_view input,
                             const std::function<Status()>& enter) {
  Result<Fd> text = TextFile(input);
  RELAY_TRY(text);
  Result<Fd> complaints = TextFile("");
  RELAY_TRY(complaints);
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno(ErrorCode::kSystem, "fork");
  if (pid == 0) RunHelper(arguments, text->get(), complaints->get(), enter);
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  std::string name = arguments[0].substr(arguments[0].rfind('/') + 1);
  return Helper(std::move(name), std::move(*complaints), pid, std::move(pidfd));
}

Status Helper::Wait(Duration longest) {
  pollfd ended{pidfd_.get(), POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(longest).count();
  const bool in_time = ::poll(&ended, 1, static_cast<int>(ms)) == 1;
  if (!in_time) ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  ::lseek(complaints_.get(), 0, SEEK_SET);
  std::string said = ReadAll(complaints_.get());
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (!in_time) return Fail(ErrorCode::kSystem, fmt::format("{} did not end in time: {}", name_, said));
  if (status == 0) return {};
  return Fail(ErrorCode::kSystem, fmt::format("{} failed with status {}: {}", name_, ExitStatus(status), said));
}

std::string ReadFile(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? ReadAll(fd.get()) : "";
}

Status WriteFile(const std::string& path, std::string_view text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return FailErrno(ErrorCode::kSystem, "open " + path);
  while (!text.empty()) {
    const ssize_t n = ::write(fd.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return FailErrno(ErrorCode::kSystem, "write " + path);
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace relay::lab
