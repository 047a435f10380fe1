#include "base/fork_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "base/fd.h"

namespace relay {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
Fd OpenNull() {
  return Fd::Born([] { return open("/dev/null", O_RDONLY | O_CLOEXEC); });
}

// What `check` says in a forked child.
bool InChild(const std::function<bool()>& check) {
  pid_t pid = fork();
  if (pid == 0) _exit(check() ? 0 : 1);
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(ForkGuard, WithoutLifeAChildKeepsWhatItInherits) {
  Fd fd = OpenNull();
  { fork_guard::Life life; }
  EXPECT_TRUE(InChild([&] { return IsOpen(fd.get()) && !fork_guard::Dead(); }));
}

TEST(ForkGuard, WithLifeAChildHoldsNoDescriptorOfOursAndIsDead) {
  fork_guard::Life life;
  Fd ours = OpenNull(), moved = OpenNull();
  Fd target = std::move(moved);
  int foreign = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int number = ours.get();
  EXPECT_TRUE(
      InChild([&] { return !IsOpen(ours.get()) && !IsOpen(target.get()) && IsOpen(foreign) && fork_guard::Dead(); }));
  EXPECT_TRUE(IsOpen(number) && IsOpen(target.get()) && !fork_guard::Dead());
  close(foreign);
}

// The number may belong to somebody else by the time an object of the dead plugin ends.
TEST(ForkGuard, InADeadChildNothingMoreIsClosed) {
  fork_guard::Life life;
  auto fd = std::make_unique<Fd>(OpenNull());
  EXPECT_TRUE(InChild([&] {
    int number = fd->get();
    int reused = open("/dev/null", O_RDONLY);
    if (reused != number && dup2(reused, number) < 0) return false;
    fd.reset();
    return IsOpen(number);
  }));
}

TEST(ForkGuard, SectionsNestAndAChildCanUseThem) {
  fork_guard::Life life;  // without one, nobody forks with a section open
  fork_guard::Section outer;
  fork_guard::Section inner;
  EXPECT_TRUE(InChild([] { return bool(OpenNull()); }));
}

TEST(ForkGuard, NoForkFallsBetweenADescriptorsBirthAndItsRecord) {
  fork_guard::Life life;
  std::atomic<bool> stop{false};
  int before = open("/dev/null", O_RDONLY);
  std::thread birth([&] {
    while (!stop) Fd fd = OpenNull();
  });
  for (int i = 0; i < 300; ++i) {
    // The thread's descriptor is always the lowest free number.
    EXPECT_TRUE(InChild([&] { return !IsOpen(before + 1); }));
  }
  stop = true;
  birth.join();
  close(before);
}

}  // namespace
}  // namespace relay
