#include "agent/relay/slot_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake/cuda.h"
#include "transport/rdma/memlock.h"

namespace relay::agent::slot_space {
namespace {

using testing::HasSubstr;

constexpr size_t kPage = size_t{2} << 20;

TEST(SlotSpace, IsTakenInWholeHugePagesAndGivenBack) {
  SlotBudget budget(3 * kPage);
  {
    auto one = SlotMemory::Take(budget, 1);
    ASSERT_TRUE(one) << one.error().what;
    EXPECT_EQ(one->size(), kPage);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(one->data()) % kPage, 0u) << "where the kernel may use a huge page";
    one->data()[kPage - 1] = std::byte{1};
    EXPECT_EQ(budget.used(one->kind()), kPage);
    auto two = SlotMemory::Take(budget, kPage + 1);
    ASSERT_TRUE(two);
    EXPECT_EQ(budget.used(), 3 * kPage);
    auto none = SlotMemory::Take(budget, 1);
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().what, HasSubstr("all 6 MiB that it may register for relaying (NCCL_RELAY_REGISTERED)"));
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(SlotSpace, GpuMemoryCountsAgainstTheSameLimit) {
  fake::FakeCuda cuda;
  {
    SlotBudget budget(2 * kPage, *CudaDevice::Open(0, &cuda.table()));
    auto one = SlotMemory::Take(budget, kPage);
    ASSERT_TRUE(one) << one.error().what;
    EXPECT_EQ(one->kind(), SlotKind::kGpu);
    EXPECT_TRUE(budget.gpu());
    EXPECT_EQ(budget.used(), kPage);
    EXPECT_FALSE(SlotMemory::Take(budget, 2 * kPage));
    budget.GiveUpGpu("for a test");
    auto two = SlotMemory::Take(budget, kPage);
    ASSERT_TRUE(two);
    EXPECT_NE(two->kind(), SlotKind::kGpu);
    EXPECT_EQ(budget.why_host(), "for a test");
    EXPECT_EQ(budget.used(), 2 * kPage);
  }
  EXPECT_EQ(cuda.Leaks(), "");
}

// In a child, which is not to have the right to lock what it likes.
TEST(SlotSpace, TheLimitOfLockedMemoryIsCheckedBeforeAnythingIsTaken) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[2] = {};
    if (transport::rdma::LockableBytes() == UINT64_MAX && syscall(SYS_capset, &header, sets) != 0) _exit(1);
    const rlimit limit{2 * kPage, 2 * kPage};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) _exit(2);
    if (transport::rdma::LockableBytes() != 2 * kPage) _exit(3);
    SlotBudget budget(16 * kPage);
    auto fits = SlotMemory::Take(budget, kPage);  // registered with two devices
    if (!fits) _exit(4);
    auto beyond = SlotMemory::Take(budget, kPage);
    if (beyond || beyond.error().what.find("ulimit -l") == std::string::npos) _exit(5);
    _exit(budget.used() == kPage ? 0 : 6);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace relay::agent::slot_space
