#include "lab/node_space.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "lab/process.h"

namespace relay::lab {
namespace {

// Where /sys is covered by other mounts (containers), the kernel lets only a read-only one in.
Status MountSysfs() {
  if (::mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0) return {};
  if (::mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, nullptr) == 0) return {};
  return FailErrno(ErrorCode::kSystem, "mount a fresh /sys (run as root, or where /sys is not masked)");
}

// "net.ipv4.ip_forward=1", as sysctl(8) takes it. The node has no interface yet but the loopback's.
Status SetKernel(const std::string& setting) {
  const size_t equals = std::min(setting.find('='), setting.size());
  std::string path = setting.substr(0, equals);
  const bool plain = path.rfind("net.", 0) == 0 && path.find('/') == path.npos;
  std::replace(path.begin(), path.end(), '.', '/');
  if (!plain || equals == setting.size()) {
    return Fail(
        ErrorCode::kUsage,
        fmt::format("--sysctl {}: write it like net.ipv4.conf.all.rp_filter=1; only net. is a node's own", setting));
  }
  return WriteFile("/proc/sys/" + path, setting.substr(equals + 1));
}

Status BecomeNode(const std::string& name, const std::vector<std::string>& sysctls) {
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS) != 0) {
    return FailErrno(ErrorCode::kSystem, "make namespaces for node " + name);
  }
  if (::sethostname(name.data(), name.size()) != 0) return FailErrno(ErrorCode::kSystem, "sethostname");
  RELAY_TRY(MountSysfs());
  for (const char* scope : {"all", "default"}) {
    // Addresses are usable at once, and a reply may leave by another interface than the question came in by.
    RELAY_TRY(SetKernel(fmt::format("net.ipv4.conf.{}.rp_filter=0", scope)));
    if (::access("/proc/sys/net/ipv6", F_OK) == 0) {
      RELAY_TRY(SetKernel(fmt::format("net.ipv6.conf.{}.accept_dad=0", scope)));
    }
  }
  for (const std::string& setting : sysctls) RELAY_TRY(SetKernel(setting));
  return {};
}

// Says "+" or the complaint, then keeps the namespaces alive until the parent holds them.
[[noreturn]] void NodeChild(const std::string& name, const std::vector<std::string>& sysctls, int report, int release) {
  const Status made = BecomeNode(name, sysctls);
  const std::string said = made ? "+" : made.error().what;
  if (::write(report, said.data(), said.size()) < 0) ::_exit(1);
  char end;
  ::_exit(::read(release, &end, 1) == 0 ? 0 : 1);
}

Result<std::string> AwaitReport(int fd) {
  pollfd said{fd, POLLIN, 0};
  char buffer[1024];
  if (::poll(&said, 1, 10000) != 1) return Fail(ErrorCode::kSystem, "making a node's namespaces took longer than 10 s");
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  return std::string(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0)));
}

Result<Fd> OpenNamespace(pid_t pid, const char* kind) {
  Fd fd(::open(fmt::format("/proc/{}/ns/{}", pid, kind).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(ErrorCode::kSystem, fmt::format("open the {} namespace of a node", kind));
  return fd;
}

Result<NodeSpace> Hold(pid_t pid) {
  NodeSpace space;
  for (auto [fd, kind] :
       {std::pair(&space.network, "net"), std::pair(&space.mounts, "mnt"), std::pair(&space.host, "uts")}) {
    Result<Fd> opened = OpenNamespace(pid, kind);
    RELAY_TRY(opened);
    *fd = std::move(*opened);
  }
  struct stat facts {};
  if (::fstat(space.network.get(), &facts) != 0) return FailErrno(ErrorCode::kSystem, "fstat");
  space.network_inode = facts.st_ino;
  return space;
}

}  // namespace

Result<NodeSpace> MakeNodeSpace(const std::string& name, const std::vector<std::string>& sysctls) {
  int report[2], release[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "pipe");
  const Fd said(report[0]);
  Fd say(report[1]);
  if (::pipe2(release, O_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "pipe");
  Fd wait(release[0]), let_go(release[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno(ErrorCode::kSystem, "fork");
  if (pid == 0) {
    let_go.reset();
    NodeChild(name, sysctls, say.get(), wait.get());
  }
  say.reset();
  Result<std::string> report_text = AwaitReport(said.get());
  Result<NodeSpace> space = Fail(ErrorCode::kSystem, report_text ? *report_text : report_text.error().what);
  if (report_text && *report_text == "+") space = Hold(pid);
  let_go.reset();
  if (!report_text) ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return space;
}

Status Enter(const NodeSpace& space, const std::string& working_directory) {
  if (::setns(space.network.get(), CLONE_NEWNET) != 0 || ::setns(space.mounts.get(), CLONE_NEWNS) != 0 ||
      ::setns(space.host.get(), CLONE_NEWUTS) != 0) {
    return FailErrno(ErrorCode::kSystem, "enter a node's namespaces");
  }
  if (::chdir(working_directory.c_str()) != 0) return FailErrno(ErrorCode::kSystem, "chdir " + working_directory);
  return {};
}

Status InNetwork(const NodeSpace& space, const std::function<void()>& what) {
  const Fd home(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home || ::setns(space.network.get(), CLONE_NEWNET) != 0) {
    return FailErrno(ErrorCode::kSystem, "enter a node's network");
  }
  what();
  if (::setns(home.get(), CLONE_NEWNET) != 0) return FailErrno(ErrorCode::kSystem, "leave a node's network");
  return {};
}

}  // namespace relay::lab
