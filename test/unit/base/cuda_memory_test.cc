#include "base/cuda_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "fake/cuda.h"

namespace relay::cuda_memory {
namespace {

using testing::HasSubstr;

constexpr size_t kPage = size_t{2} << 20;

TEST(CudaMemory, IsAllocatedInWholePagesExportedAndGivenBack) {
  fake::FakeCuda fake;
  {
    auto device = CudaDevice::Open(0, &fake.table());
    ASSERT_TRUE(device) << device.error().what;
    auto memory = CudaMemory::Allocate(*device, kPage + 1);
    ASSERT_TRUE(memory) << memory.error().what;
    device->reset();  // the memory holds it
    CudaMemory moved(std::move(*memory));
    EXPECT_EQ(moved.size(), 2 * kPage);
    EXPECT_NE(moved.address(), 0u);
    struct stat facts {};
    ASSERT_EQ(fstat(moved.fd(), &facts), 0);
    EXPECT_EQ(static_cast<size_t>(facts.st_size), moved.size());
    EXPECT_EQ(fcntl(moved.fd(), F_GETFD), FD_CLOEXEC);
    EXPECT_NE(fake.Leaks(), "");
  }
  EXPECT_EQ(fake.Leaks(), "");
}

TEST(CudaMemory, WhatCannotBeIsSaidInASentenceAndLeavesNothing) {
  fake::FakeCuda fake;
  EXPECT_THAT(CudaDevice::Open(1, &fake.table()).error().what, HasSubstr("there is no GPU 1"));
  fake.dma_buf = false;
  EXPECT_THAT(CudaDevice::Open(0, &fake.table()).error().what, HasSubstr("GPU 0 exports no DMA-BUF"));
  EXPECT_EQ(fake.Leaks(), "");
  fake.dma_buf = true;
  {
    auto device = *CudaDevice::Open(0, &fake.table());
    fake.room = kPage;
    EXPECT_THAT(CudaMemory::Allocate(device, 2 * kPage).error().what,
                HasSubstr("a GPU has no 4 MiB of memory: out of memory (CUDA error 2)"));
    fake.exports = false;
    EXPECT_THAT(CudaMemory::Allocate(device, kPage).error().what, HasSubstr("cannot be exported as DMA-BUF"));
  }
  EXPECT_EQ(fake.Leaks(), "");
  EXPECT_EQ(fake.room, kPage) << "what could not be exported is given back";
}

TEST(CudaMemory, WithoutADriverTheErrorNamesItsFile) {
  EXPECT_THAT(LoadCudaFrom("libcuda-that-is-not-there.so.1").error().what,
              AllOf(HasSubstr("libcuda-that-is-not-there.so.1"), HasSubstr("--gpus all")));
  EXPECT_THAT(LoadCudaFrom("libc.so.6").error().what, HasSubstr("has no cuInit"));
}

}  // namespace
}  // namespace relay::cuda_memory
