#include "lab/box.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "lab/process.h"

namespace relay::lab {
namespace {

constexpr unsigned long kNamespaces = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;

// fork() into new namespaces. Both stack and pointers are absent, so the order of arguments, which differs between
// machines, does not matter.
pid_t ForkInto(unsigned long namespaces) {
  return static_cast<pid_t>(::syscall(SYS_clone, namespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

Status MapUser(uid_t uid, gid_t gid) {
  RELAY_TRY(WriteFile("/proc/self/setgroups", "deny"));
  RELAY_TRY(WriteFile("/proc/self/uid_map", fmt::format("0 {} 1", uid)));
  return WriteFile("/proc/self/gid_map", fmt::format("0 {} 1", gid));
}

// In a chroot "/" is not where the mount namespace begins, and whoever enters a node's namespace would come out of it.
// So what "/" is here becomes the beginning, on the way over /proc, which is mounted afresh afterwards.
Status BeginAt(const Fd& root) {
  if (::fchdir(root.get()) != 0 || ::mount(".", "proc", nullptr, MS_BIND | MS_REC, nullptr) != 0 ||
      ::chdir("proc") != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0) {
    return FailErrno(ErrorCode::kSystem, "make this chroot the root of the lab");
  }
  return {};
}

Status OwnMounts() {
  std::error_code ignored;
  const std::string here = std::filesystem::current_path(ignored);
  const Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Fd mounts(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!root || !mounts || ::setns(mounts.get(), CLONE_NEWNS) != 0) {
    return FailErrno(ErrorCode::kSystem, "enter the lab's mounts");
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return FailErrno(ErrorCode::kSystem, "make mounts private");
  }
  struct stat wanted {
  }, first{};
  if (::fstat(root.get(), &wanted) != 0 || ::stat("/", &first) != 0) return FailErrno(ErrorCode::kSystem, "stat /");
  if (wanted.st_dev != first.st_dev || wanted.st_ino != first.st_ino) RELAY_TRY(BeginAt(root));
  if (::chdir(here.c_str()) != 0) return FailErrno(ErrorCode::kSystem, "chdir " + here);
  return {};
}

Status SettleIn() {
  RELAY_TRY(OwnMounts());
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return FailErrno(ErrorCode::kSystem, "mount a fresh /proc (run as root, or where /proc is not masked)");
  }
  return {};
}

// The mounted /proc is still the outside's.
pid_t OuterPid() {
  char text[32] = "";
  const ssize_t n = ::readlink("/proc/self", text, sizeof text - 1);
  return n > 0 ? static_cast<pid_t>(std::atol(text)) : 0;
}

std::string WhyNot(int error) {
  const std::string limit = ReadFile("/proc/sys/user/max_user_namespaces");
  const std::string clone = ReadFile("/proc/sys/kernel/unprivileged_userns_clone");
  const std::string restrict = ReadFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  std::string why = fmt::format("the lab may not make namespaces ({}): run it as root", std::strerror(error));
  if (limit == "0\n") why += ", or allow user namespaces: sysctl user.max_user_namespaces=10000";
  if (clone == "0\n") why += ", or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1";
  if (restrict == "1\n") why += ", or: sysctl kernel.apparmor_restrict_unprivileged_userns=0";
  return why + "; in a container, it needs the capability SYS_ADMIN";
}

}  // namespace

Result<Box> MakeBox(bool tied, const std::function<int(const Inside&)>& supervise) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "pipe");
  Fd theirs(ends[0]), ours(ends[1]);
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  bool own_user = false;
  pid_t pid = ForkInto(kNamespaces);
  if (pid < 0 && errno == EPERM) {
    own_user = true;
    pid = ForkInto(kNamespaces | CLONE_NEWUSER);
  }
  if (pid < 0) return Fail(ErrorCode::kSystem, WhyNot(errno), errno);
  if (pid > 0) return Box{pid, std::move(ours)};

  if (tied) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ours.reset();
  const Inside inside{OuterPid(), theirs.get()};
  Status settled = own_user ? MapUser(uid, gid) : Status{};
  if (settled) settled = SettleIn();
  if (!settled) {
    fmt::print(stderr, "lab: {}\n", settled.error().what);
    ::_exit(125);
  }
  ::_exit(supervise(inside));
}

}  // namespace relay::lab
