// While it lives, this process gets no new descriptor. A test that wants one starts with RELAY_RUNS_OUT_OF_DESCRIPTORS:
// the sanitizer's check of dynamic types needs a pipe, and calls every object a wrong one without it.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define RELAY_RUNS_OUT_OF_DESCRIPTORS GTEST_SKIP() << "the sanitizer needs descriptors of its own"
#else
#define RELAY_RUNS_OUT_OF_DESCRIPTORS static_cast<void>(0)
#endif

namespace relay::fake {

class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    const int lowest_free = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest_free);
    const rlimit none{static_cast<rlim_t>(lowest_free), before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_LT(dup(STDERR_FILENO), 0);
  }
  ~NoDescriptors() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace relay::fake
