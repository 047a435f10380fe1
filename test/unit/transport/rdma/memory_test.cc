#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/fd.h"
#include "fake/verbs/joined.h"
#include "transport/rdma/memlock.h"

namespace relay::transport::rdma {
namespace {

using testing::HasSubstr;

const uint64_t kPage = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));

// Addresses that nobody touches: registering reads no byte.
void* At(uint64_t page, uint64_t offset = 0) { return reinterpret_cast<void*>((page + 16) * kPage + offset); }

struct OneDevice {
  OneDevice() { fake.AddLink("a0", "b0"); }
  std::shared_ptr<Device> Open() {
    auto device = Device::Open("a0", 1, &fake.table());
    EXPECT_TRUE(device) << device.error().what;
    return *device;
  }
  fake::FakeVerbs fake;
};

TEST(RdmaMemory, ARangeIsRoundedToPages) {
  OneDevice one;
  auto device = one.Open();
  const auto memory = *device->Register(At(1, 100), 8);
  EXPECT_EQ(memory->address(), reinterpret_cast<uint64_t>(At(1)));
  EXPECT_EQ(memory->size(), kPage);
  const auto two = *device->Register(At(5, kPage - 1), 2);
  EXPECT_EQ(two->size(), 2 * kPage);
  const auto none = *device->Register(At(9), 0);
  EXPECT_EQ(none->size(), kPage);
  EXPECT_EQ(device->registered_bytes(), 4 * kPage);
}

TEST(RdmaMemory, OneRegistrationServesAllWhoAskForItOrAPartOfIt) {
  OneDevice one;
  auto device = one.Open();
  auto outer = *device->Register(At(0), 4 * kPage);
  auto same = *device->Register(At(0), 4 * kPage), inner = *device->Register(At(2, 5), 17);
  EXPECT_EQ(outer, same);
  EXPECT_EQ(outer, inner);
  EXPECT_EQ(one.fake.live().regions, 1u);
  outer.reset();
  same.reset();
  EXPECT_EQ(one.fake.live().regions, 1u) << "the inner range is still in use";
  EXPECT_EQ(device->registered_bytes(), 4 * kPage);
  inner.reset();
  EXPECT_EQ(one.fake.live().regions, 0u);
  EXPECT_EQ(device->registered_bytes(), 0u);
}

TEST(RdmaMemory, AnOuterRangeIsARegistrationOfItsOwn) {
  OneDevice one;
  auto device = one.Open();
  const auto inner = *device->Register(At(1), kPage), outer = *device->Register(At(0), 3 * kPage);
  EXPECT_NE(inner, outer);
  EXPECT_EQ(*device->Register(At(1), kPage), inner) << "the closest that begins before";
  EXPECT_EQ(*device->Register(At(1), 2 * kPage), outer);
}

TEST(RdmaMemory, AStrictOrderIsNeverServedByARelaxedRegistration) {
  OneDevice one;
  auto device = one.Open();
  const auto relaxed = *device->Register(At(0), kPage), strict = *device->Register(At(0), kPage, Ordering::kStrict);
  EXPECT_NE(relaxed, strict);
  EXPECT_EQ(one.fake.calls("reg_mr_iova2"), 1u);
  EXPECT_EQ(one.fake.calls("reg_mr"), 1u);
  const auto other = *device->Register(At(7), kPage, Ordering::kStrict);
  EXPECT_EQ(*device->Register(At(7), kPage), other) << "strict is good enough for everyone";
}

TEST(RdmaMemory, AnOldLibraryRegistersInStrictOrder) {
  OneDevice one;
  one.fake.table().reg_mr_iova2 = nullptr;
  auto device = one.Open();
  EXPECT_TRUE(device->Register(At(0), kPage));
  EXPECT_EQ(one.fake.calls("reg_mr"), 1u);
}

TEST(RdmaMemory, TheDeviceLivesAsLongAsItsMemory) {
  OneDevice one;
  auto device = one.Open();
  auto memory = *device->Register(At(0), kPage);
  device.reset();
  EXPECT_EQ(one.fake.live().contexts, 1u);
  memory.reset();
  EXPECT_EQ(one.fake.Leaks(), "");
}

TEST(RdmaMemory, EachRefusalSaysWhatToDo) {
  struct Case {
    int error;
    const char* advice;
  };
  for (const auto& [error, advice] : {Case{EFAULT, "nvidia-peermem"}, Case{EINVAL, "kernel's log"}}) {
    OneDevice one;
    auto device = one.Open();
    one.fake.FailCall("reg_mr_iova2", error);
    const auto memory = device->Register(At(0), 3u << 20);
    ASSERT_FALSE(memory);
    EXPECT_EQ(memory.error().code, ErrorCode::kSystem);
    EXPECT_EQ(memory.error().sys_errno, error);
    EXPECT_THAT(memory.error().what, HasSubstr("a0 cannot register 3 MiB"));
    EXPECT_THAT(memory.error().what, HasSubstr(advice));
    EXPECT_EQ(device->registered_bytes(), 0u);
    EXPECT_TRUE(device->Register(At(0), kPage)) << "the next one goes well";
  }
}

class LowerMemlock {
 public:
  explicit LowerMemlock(rlim_t bytes) {
    EXPECT_EQ(getrlimit(RLIMIT_MEMLOCK, &before_), 0);
    const rlimit now{std::min(bytes, before_.rlim_max), before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_MEMLOCK, &now), 0);
  }
  ~LowerMemlock() { EXPECT_EQ(setrlimit(RLIMIT_MEMLOCK, &before_), 0); }
  LowerMemlock(const LowerMemlock&) = delete;
  LowerMemlock& operator=(const LowerMemlock&) = delete;

 private:
  rlimit before_{};
};

TEST(RdmaMemory, NoMemoryNamesTheLimitAndHowToRaiseIt) {
  const LowerMemlock limit(64 << 10);
  OneDevice one;
  auto device = one.Open();
  one.fake.FailCall("reg_mr_iova2", ENOMEM);
  const auto memory = device->Register(At(0), kPage);
  ASSERT_FALSE(memory);
  for (const char* part : {"limited to 64 KiB", "ulimit -l", "LimitMEMLOCK=infinity", "--ulimit memlock=-1"}) {
    EXPECT_THAT(memory.error().what, HasSubstr(part));
  }
  // A device's own queues are locked too.
  one.fake.FailCall("create_qp", ENOMEM, 1, 2);
  EXPECT_THAT(QueuePair::Create(device, {}).error().what, HasSubstr("a0 port 1 gives no queue pair (locked memory is"));
  EXPECT_FALSE(CheckMemlock((64 << 10) + 1));
  EXPECT_THAT(CheckMemlock(1 << 20).error().what, HasSubstr("needs 1024 KiB of locked memory"));
  EXPECT_TRUE(CheckMemlock(64 << 10));
}

TEST(RdmaMemory, WithoutALimitNoneIsNamed) {
  EXPECT_EQ(MemlockText(UINT64_MAX), "");
  EXPECT_TRUE(CheckMemlock(UINT64_MAX, UINT64_MAX));
  EXPECT_THAT(NoMemoryAdvice(UINT64_MAX), HasSubstr("the kernel or the device has no memory left"));
  EXPECT_THAT(NoMemoryAdvice(64 << 10), HasSubstr("limited to 64 KiB"));
}

TEST(RdmaMemory, ARangeAroundTheEndOfTheAddressSpaceIsRefused) {
  OneDevice one;
  auto device = one.Open();
  EXPECT_FALSE(device->Register(reinterpret_cast<void*>(UINT64_MAX - 10), 100));
  EXPECT_FALSE(device->Register(At(0), SIZE_MAX));
  EXPECT_EQ(one.fake.calls("reg_mr_iova2"), 0u);
}

// --- DMA-BUF

Fd MemoryFile(size_t size) {
  Fd fd(memfd_create("buffer", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  return fd;
}

TEST(RdmaMemory, ADmaBufStaysRegisteredWhenTheCallerHasClosedIt) {
  fake::FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake::End a = fake::OpenEnd(fake, "a0"), b = fake::OpenEnd(fake, "b0");
  ASSERT_TRUE(a.device->supports_dma_buf());
  Fd buffer = MemoryFile(8 * kPage), mine(dup(buffer.get()));
  auto memory = *b.device->RegisterDmaBuf(At(100), 3 * kPage + 5, 2 * kPage, buffer.get());
  buffer.reset();
  EXPECT_EQ(memory->address(), reinterpret_cast<uint64_t>(At(100)));
  EXPECT_EQ(memory->size(), 4 * kPage);
  ASSERT_TRUE(fake::Join(a, b));
  auto source = fake::MakeBuffer(*a.device, 64, 7);
  const Piece piece = source.piece(0, 64);
  a.pair->Write({&piece, 1}, {memory->address() + kPage, memory->remote_key()}, 1, {});
  ASSERT_TRUE(a.pair->Ring());
  std::byte there[64];
  ASSERT_EQ(pread(mine.get(), there, sizeof there, static_cast<off_t>(3 * kPage)), 64);
  EXPECT_TRUE(std::equal(source.bytes.begin(), source.bytes.end(), there));
  memory.reset();
}

TEST(RdmaMemory, ADmaBufIsSharedLikeOtherMemory) {
  OneDevice one;
  auto device = one.Open();
  const Fd buffer = MemoryFile(8 * kPage);
  const auto outer = *device->RegisterDmaBuf(At(100), 4 * kPage, 0, buffer.get());
  EXPECT_EQ(*device->RegisterDmaBuf(At(101), kPage, kPage, buffer.get()), outer);
  EXPECT_EQ(one.fake.calls("reg_dmabuf_mr"), 2u) << "the probe and the one";
}

TEST(RdmaMemory, AnUnalignedDmaBufMustLieInItsPagesAsItsAddressDoes) {
  OneDevice one;
  auto device = one.Open();
  const Fd buffer = MemoryFile(8 * kPage);
  const auto alike = device->RegisterDmaBuf(At(100, 256), kPage, kPage + 256, buffer.get());
  ASSERT_TRUE(alike) << alike.error().what;
  EXPECT_EQ((*alike)->address(), reinterpret_cast<uint64_t>(At(100)));
  const auto unlike = device->RegisterDmaBuf(At(200, 256), kPage, 0, buffer.get());
  ASSERT_FALSE(unlike);
  EXPECT_EQ(unlike.error().code, ErrorCode::kUsage);
}

TEST(RdmaMemory, WithoutDmaBufTheErrorSaysWhatItNeeds) {
  for (const bool library : {true, false}) {
    fake::FakeVerbs fake;
    fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1")}, .dma_buf = false});
    if (!library) fake.table().reg_dmabuf_mr = nullptr;
    auto device = *Device::Open("a0", 1, &fake.table());
    EXPECT_FALSE(device->supports_dma_buf());
    const Fd buffer = MemoryFile(kPage);
    const auto memory = device->RegisterDmaBuf(At(0), kPage, 0, buffer.get());
    ASSERT_FALSE(memory);
    EXPECT_THAT(memory.error().what, HasSubstr("takes no DMA-BUF: that needs Linux 5.12"));
  }
}

TEST(RdmaMemory, ADmaBufThatTheKernelRefusesIsAnErrorWithItsErrno) {
  OneDevice one;
  auto device = one.Open();
  const Fd buffer = MemoryFile(kPage);
  const auto memory = device->RegisterDmaBuf(At(0), 2 * kPage, 0, buffer.get());
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().sys_errno, EINVAL);
  EXPECT_THAT(memory.error().what, HasSubstr("NCCL_DMABUF_ENABLE=0"));
}

// --- The cache against a model: what is held covers what was asked for, nothing is registered that nobody holds, and a
// range that something held covers is never registered again.
TEST(RdmaMemory, TheCacheKeepsToItsModel) {
  EXPECT_TRUE(rc::check([] {
    OneDevice one;
    auto device = one.Open();
    struct Held {
      std::shared_ptr<Memory> memory;
      uint64_t begin, end;
      bool strict;  // the registration's
    };
    std::vector<Held> held;
    const auto steps = *rc::gen::inRange(1, 60);
    for (int step = 0; step < steps; ++step) {
      if (!held.empty() && *rc::gen::inRange(0, 3) == 0) {
        held.erase(held.begin() + *rc::gen::inRange<long>(0, static_cast<long>(held.size())));
      } else {
        const auto begin = *rc::gen::inRange<uint64_t>(0, 12), pages = *rc::gen::inRange<uint64_t>(1, 6);
        const auto strict = *rc::gen::arbitrary<bool>();
        const Held* covering = nullptr;
        for (const Held& h : held) {
          const uint64_t first = h.memory->address() / kPage - 16, last = first + h.memory->size() / kPage;
          if (first <= begin && begin + pages <= last && (h.strict || !strict)) covering = &h;
        }
        const uint64_t before = one.fake.calls("reg_mr") + one.fake.calls("reg_mr_iova2");
        auto memory = device->Register(At(begin), pages * kPage, strict ? Ordering::kStrict : Ordering::kRelaxed);
        RC_ASSERT(memory.has_value());
        const uint64_t made = one.fake.calls("reg_mr") + one.fake.calls("reg_mr_iova2") - before;
        RC_ASSERT(made == (covering ? 0u : 1u));
        RC_ASSERT((*memory)->address() <= reinterpret_cast<uint64_t>(At(begin)));
        RC_ASSERT((*memory)->address() + (*memory)->size() >= reinterpret_cast<uint64_t>(At(begin + pages)));
        bool registered_strict = strict;
        for (const Held& h : held) registered_strict = h.memory == *memory ? h.strict : registered_strict;
        held.push_back({std::move(*memory), begin, begin + pages, registered_strict});
      }
      std::set<const Memory*> alive;
      uint64_t bytes = 0;
      for (const Held& h : held) bytes += alive.insert(h.memory.get()).second ? h.memory->size() : 0;
      RC_ASSERT(one.fake.live().regions == alive.size());
      RC_ASSERT(device->registered_bytes() == bytes);
    }
  }));
}

TEST(RdmaMemory, RegisteringAndGivingBackIsForAnyThread) {
  OneDevice one;
  auto device = one.Open();
  std::atomic<bool> right{true};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 400; ++i) {
        const uint64_t page = (i * 7 + t) % 5;
        auto memory = device->Register(At(page), kPage * (1 + i % 3), i % 2 ? Ordering::kStrict : Ordering::kRelaxed);
        if (!memory || (*memory)->address() > reinterpret_cast<uint64_t>(At(page)) || (*memory)->local_key() == 0) {
          right = false;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(right);
  EXPECT_EQ(device->registered_bytes(), 0u);
  EXPECT_EQ(one.fake.live().regions, 0u);
}

}  // namespace
}  // namespace relay::transport::rdma
