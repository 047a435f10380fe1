// Flushing: writes into GPU memory that the fake device holds back are there once a read of its own is done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "fake/lane_pair.h"
#include "transport/rdma/flush_pair.h"

namespace relay::transport::rdma::flush_pair {
namespace {

using testing::HasSubstr;

constexpr size_t kBytes = 1 << 20;
constexpr Duration kTimeout = std::chrono::seconds(10);

// A GPU's memory, registered at the receiving end of a lane.
struct Gpu {
  explicit Gpu(Device& device) : fd(memfd_create("gpu", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(fd.get(), kBytes), 0);
    address = mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    auto registered = device.RegisterDmaBuf(address, kBytes, 0, fd.get());
    EXPECT_TRUE(registered) << registered.error().what;
    memory = std::move(*registered);
  }
  ~Gpu() { munmap(address, kBytes); }
  // What its kernels see.
  std::vector<std::byte> Seen() const {
    std::vector<std::byte> out(kBytes);
    EXPECT_EQ(pread(fd.get(), out.data(), kBytes, 0), static_cast<ssize_t>(kBytes));
    return out;
  }
  Remote remote() const { return {reinterpret_cast<uint64_t>(address), memory->remote_key()}; }

  Fd fd;
  void* address;
  std::shared_ptr<Memory> memory;
};

void Deliver(fake::DirectLanes& lanes, fake::Registered& from, Gpu& to) {
  ASSERT_TRUE(
      *lanes.receiver->Announce({static_cast<std::byte*>(to.address), kBytes, {{{0, to.memory->remote_key()}}}}));
  ASSERT_TRUE(lanes.receiver->Ring());
  ASSERT_TRUE(*lanes.sender->CapacityOf(0));
  ASSERT_TRUE(*lanes.sender->Start(from.buffer(kBytes)));
  ASSERT_TRUE(lanes.sender->Ring());
  ASSERT_EQ(*lanes.receiver->NextWhole(), kBytes) << "the completion comes before the bytes";
}

TEST(RdmaFlushPair, WhatHasArrivedIsSeenAfterTheReadAndNotBefore) {
  fake::DirectLanes lanes;
  lanes.verbs.HoldWritesToGpu();
  fake::Registered from(*lanes.a, kBytes);
  for (size_t i = 0; i < kBytes; ++i) from.bytes[i] = static_cast<std::byte>(i * 7 + 1);
  Gpu gpu(*lanes.b);
  auto flush = FlushPair::Make(lanes.b, kTimeout);
  ASSERT_TRUE(flush) << flush.error().what;
  Deliver(lanes, from, gpu);
  EXPECT_NE(gpu.Seen(), from.bytes) << "the fake holds it back, or this test shows nothing";
  ASSERT_TRUE((*flush)->Start(gpu.remote()));
  EXPECT_EQ(*(*flush)->Done(), 1u);
  EXPECT_EQ(gpu.Seen(), from.bytes);
}

TEST(RdmaFlushPair, AReadByAnotherDeviceFlushesNothing) {
  fake::DirectLanes lanes;
  lanes.verbs.HoldWritesToGpu();
  lanes.verbs.AddLink("c", "d");
  const auto other = fake::OpenDevice(lanes.verbs, "c");
  fake::Registered from(*lanes.a, kBytes);
  from.bytes[9] = std::byte{9};
  Gpu gpu(*lanes.b);
  auto on_other = other->RegisterDmaBuf(gpu.address, kBytes, 0, gpu.fd.get());
  ASSERT_TRUE(on_other);
  auto flush = FlushPair::Make(other, kTimeout);
  ASSERT_TRUE(flush);
  Deliver(lanes, from, gpu);
  ASSERT_TRUE((*flush)->Start({reinterpret_cast<uint64_t>(gpu.address), (*on_other)->remote_key()}));
  EXPECT_EQ(*(*flush)->Done(), 1u);
  EXPECT_NE(gpu.Seen(), from.bytes);
}

TEST(RdmaFlushPair, OverInfinibandItGoesByTheLid) {
  fake::FakeVerbs fake;
  fake.Add({.name = "ib0", .ports = {{.infiniband = true, .lid = 7}}});
  auto device = fake::OpenDevice(fake, "ib0");
  {
    auto flush = FlushPair::Make(device, kTimeout);
    ASSERT_TRUE(flush) << flush.error().what;
    fake::Registered memory(*device, 4096);
    const Remote from{reinterpret_cast<uint64_t>(memory.bytes.data()), memory.memory->remote_key()};
    for (uint64_t i = 0; i < 3 * FlushPair::kMost; ++i) {
      ASSERT_TRUE((*flush)->HasRoom());
      ASSERT_TRUE((*flush)->Start(from));
      EXPECT_EQ(*(*flush)->Done(), i + 1);
    }
  }
  device.reset();
  EXPECT_EQ(fake.Leaks(), "");
}

TEST(RdmaFlushPair, AReadThatFailsIsASentence) {
  fake::FakeVerbs fake;
  fake.AddLink("a", "b");
  auto device = fake::OpenDevice(fake, "a");
  auto flush = FlushPair::Make(device, kTimeout);
  ASSERT_TRUE(flush);
  ASSERT_TRUE((*flush)->Start({4096, 1}));
  auto done = (*flush)->Done();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what, HasSubstr("a port 1"));
}

TEST(RdmaFlushPair, ADeviceThatIsGoneEndsTheWaiting) {
  fake::FakeVerbs fake(fake::FakeVerbs::Pump::kManual);
  fake.AddLink("a", "b");
  auto device = fake::OpenDevice(fake, "a");
  auto flush = FlushPair::Make(device, kTimeout);
  ASSERT_TRUE(flush);
  fake::Registered memory(*device, 4096);
  ASSERT_TRUE((*flush)->Start({reinterpret_cast<uint64_t>(memory.bytes.data()), memory.memory->remote_key()}));
  fake.RaisePortEvent({"a"}, IBV_EVENT_DEVICE_FATAL);
  Result<uint64_t> done = 0;
  for (int looks = 0; done && looks < 5000; ++looks) done = (*flush)->Done();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what, HasSubstr("a"));
}

TEST(RdmaFlushPair, EveryCallThatFailsIsAnErrorThatLeavesNothing) {
  for (uint64_t nth = 1;; ++nth) {
    fake::FakeVerbs fake;
    fake.AddLink("a", "b");
    auto device = fake::OpenDevice(fake, "a");
    fake.FailNthCall(nth, EIO);
    auto flush = FlushPair::Make(device, kTimeout);
    const bool failed = !fake.failed_call().empty();
    if (flush) {
      flush->reset();
    } else {
      EXPECT_FALSE(flush.error().what.empty()) << fake.failed_call();
    }
    device.reset();
    EXPECT_EQ(fake.Leaks(), "") << fake.failed_call();
    if (!failed) break;
    ASSERT_LT(nth, 100u);
  }
}

}  // namespace
}  // namespace relay::transport::rdma::flush_pair
