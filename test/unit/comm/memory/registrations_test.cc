// Memory of a comm whose messages go on by other devices: over devices made of code.
#include "comm/memory/registrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include "fake/lane_pair.h"
#include "fake/thread_state.h"
#include "fake/verbs/joined.h"

namespace relay::comm::registrations {
namespace {

using fake::FakeVerbs;
using testing::HasSubstr;
using transport::StripeKeys;
using transport::rdma::Device;

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr size_t kBytes = 1 << 16;

bool Same(const StripeKeys& a, const StripeKeys& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// What stands for memory of a GPU, behind a descriptor that its caller may close.
struct Gpu {
  Gpu() : fd(memfd_create("gpu", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(fd.get(), kBytes), 0);
    void* mapped = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    EXPECT_NE(mapped, MAP_FAILED);
    bytes = static_cast<std::byte*>(mapped);
  }
  ~Gpu() { munmap(bytes, kBytes); }
  Fd fd;
  std::byte* bytes;
  static inline uint64_t next = uint64_t{1} << 40;
  void* const address = reinterpret_cast<void*>(next += 1 << 20);  // as the GPU calls it: nothing is there
};

// Four devices here, each with a cable to one of the peer's: "a1" to "b1", ...
class RegistrationsTest : public testing::Test {
 protected:
  RegistrationsTest() {
    for (size_t i = 0; i < device_.size(); ++i) {
      const std::string number = std::to_string(i);
      verbs_.AddLink("a" + number, "b" + number);
      device_[i] = fake::OpenDevice(verbs_, "a" + number);
    }
  }
  std::unique_ptr<Registrations> Make(Registrations::Devices devices, bool receives = false) {
    return std::make_unique<Registrations>(std::move(devices), receives, kTimeout);
  }
  MemoryRegion* Host(Registrations& registrations, std::vector<std::byte>& bytes) {
    auto region = registrations.Register(bytes.data(), bytes.size(), kHostPointer);
    EXPECT_TRUE(region) << region.error().what;
    return region ? *region : nullptr;
  }
  // The peer writes one byte there over this device's cable.
  bool PeerWrites(size_t device, const void* to, uint32_t remote_key, uint8_t value) {
    fake::End near = fake::OpenEnd(verbs_, "a" + std::to_string(device));
    fake::End far = fake::OpenEnd(verbs_, "b" + std::to_string(device));
    EXPECT_TRUE(fake::Join(far, near));
    fake::Buffer from = fake::MakeBuffer(*far.device, 1);
    from.bytes[0] = std::byte{value};
    const transport::rdma::Piece piece = from.piece(0, 1);
    far.pair->Write({&piece, 1}, {reinterpret_cast<uint64_t>(to), remote_key}, 0, {});
    EXPECT_TRUE(far.pair->Ring());
    verbs_.StepUntilIdle();
    std::array<transport::rdma::Completion, 1> done;
    return far.pair->Poll(done).has_value();
  }
  // This device reads one byte there and sends it.
  bool DeviceReads(size_t device, const void* from, uint32_t local_key) {
    fake::End near = fake::OpenEnd(verbs_, "a" + std::to_string(device));
    fake::End far = fake::OpenEnd(verbs_, "b" + std::to_string(device));
    EXPECT_TRUE(fake::Join(near, far));
    fake::Buffer to = fake::MakeBuffer(*far.device, 1);
    const transport::rdma::Piece piece{from, 1, local_key};
    near.pair->Write({&piece, 1}, to.remote(), 0, {});
    EXPECT_TRUE(near.pair->Ring());
    verbs_.StepUntilIdle();
    std::array<transport::rdma::Completion, 1> done;
    return near.pair->Poll(done).has_value();
  }
  uint64_t Registered(size_t device) const { return device_[device]->registered_bytes(); }

  FakeVerbs verbs_;
  std::array<std::shared_ptr<Device>, 4> device_;
};

TEST_F(RegistrationsTest, KeysChangeWhenItMovesAndNotBefore) {
  auto registrations = Make({device_[0]});
  std::vector<std::byte> bytes(kBytes);
  auto* region = Host(*registrations, bytes);
  const StripeKeys before = registrations->KeysOf(region);
  ASSERT_TRUE(registrations->Prepare({device_[1]}));
  EXPECT_TRUE(Same(registrations->KeysOf(region), before));
  EXPECT_TRUE(PeerWrites(0, bytes.data(), before[0].remote, 1)) << "the old path may still be in use";
  registrations->Move();
  const StripeKeys after = registrations->KeysOf(region);
  EXPECT_FALSE(Same(after, before));
  EXPECT_TRUE(PeerWrites(1, &bytes[7], after[0].remote, 9));
  EXPECT_EQ(bytes[7], std::byte{9});
  EXPECT_TRUE(DeviceReads(1, bytes.data(), after[0].local));
  EXPECT_FALSE(PeerWrites(1, bytes.data(), before[0].remote, 1));
  EXPECT_GT(Registered(0), 0u) << "its lane may still be there";
  registrations->DropFormer();
  EXPECT_EQ(Registered(0), 0u);
  EXPECT_TRUE(PeerWrites(1, bytes.data(), after[0].remote, 2));
  registrations->Deregister(region);
  EXPECT_EQ(Registered(1), 0u);
}

TEST_F(RegistrationsTest, ADeviceThatStaysKeepsItsRegistration) {
  auto registrations = Make({device_[0], device_[1]});
  std::vector<std::byte> bytes(kBytes);
  auto* region = Host(*registrations, bytes);
  const StripeKeys before = registrations->KeysOf(region);
  const size_t regions = verbs_.live().regions;
  ASSERT_TRUE(registrations->Prepare({device_[1], device_[2]}));
  EXPECT_EQ(verbs_.live().regions, regions + 1);
  registrations->Move();
  registrations->DropFormer();
  const StripeKeys after = registrations->KeysOf(region);
  EXPECT_EQ(after[0].remote, before[1].remote) << "stripes are in the order of the lane's";
  EXPECT_EQ(after[0].local, before[1].local);
  EXPECT_NE(after[1].remote, before[0].remote);
  EXPECT_EQ(Registered(0), 0u);
  EXPECT_TRUE(PeerWrites(1, bytes.data(), after[0].remote, 1));
  EXPECT_TRUE(PeerWrites(2, bytes.data(), after[1].remote, 1));
}

TEST_F(RegistrationsTest, GpuMemoryMovesThoughItsDescriptorWasClosed) {
  const auto open = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); };
  Gpu gpu;
  const auto before = open();
  auto registrations = Make({device_[0]}, true);
  auto region = registrations->RegisterDmaBuf(gpu.address, kBytes, 0, gpu.fd.get());
  ASSERT_TRUE(region) << region.error().what;
  gpu.fd.reset();
  ASSERT_TRUE(registrations->Prepare({device_[1]}));
  registrations->Move();
  registrations->DropFormer();
  EXPECT_TRUE(PeerWrites(1, gpu.address, registrations->KeysOf(*region)[0].remote, 0x42));
  EXPECT_EQ(gpu.bytes[0], std::byte{0x42});
  registrations->Clear();
  EXPECT_EQ(open(), before - 1) << "nothing is kept open: the caller's descriptor is closed, and ours";
}

TEST_F(RegistrationsTest, ADescriptorThatCannotBeKeptIsASentence) {
  auto registrations = Make({device_[0]}, true);
  const auto region = registrations->RegisterDmaBuf(nullptr, kBytes, 0, -1);
  ASSERT_FALSE(region);
  EXPECT_THAT(region.error().what, HasSubstr("no descriptor to keep GPU memory by"));
}

TEST_F(RegistrationsTest, WhatCannotBeRegisteredThereStaysAsItWas) {
  auto registrations = Make({device_[0]});
  std::vector<std::byte> first(kBytes), second(kBytes);
  auto* one = Host(*registrations, first);
  auto* two = Host(*registrations, second);
  const StripeKeys before = registrations->KeysOf(two);
  verbs_.FailCall("reg_mr_iova2", ENOMEM, 2);
  const Status prepared = registrations->Prepare({device_[1]});
  ASSERT_FALSE(prepared);
  EXPECT_THAT(prepared.error().what, AllOf(HasSubstr("a1 cannot register"), HasSubstr("ulimit -l")));
  EXPECT_EQ(Registered(1), 0u) << "what had gone well is given back";
  registrations->Move();
  EXPECT_TRUE(Same(registrations->KeysOf(two), before));
  EXPECT_TRUE(PeerWrites(0, second.data(), before[0].remote, 3));
  ASSERT_TRUE(registrations->Prepare({device_[2]})) << "the next one goes well";
  registrations->Move();
  EXPECT_TRUE(PeerWrites(2, first.data(), registrations->KeysOf(one)[0].remote, 4));
}

TEST_F(RegistrationsTest, APathThatIsNotTakenLeavesNothing) {
  auto registrations = Make({device_[0]});
  std::vector<std::byte> bytes(kBytes);
  auto* region = Host(*registrations, bytes);
  ASSERT_TRUE(registrations->Prepare({device_[1]}));
  ASSERT_TRUE(registrations->Prepare({device_[2]})) << "the path by a1 has failed before it was used";
  EXPECT_EQ(Registered(1), 0u);
  registrations->Move();
  registrations->Move();  // nothing was prepared
  EXPECT_TRUE(PeerWrites(2, bytes.data(), registrations->KeysOf(region)[0].remote, 1));
}

TEST_F(RegistrationsTest, OverTcpHostMemoryHasNoKeysAndGpuMemoryHasNoWay) {
  auto registrations = Make({device_[0]}, true);
  std::vector<std::byte> bytes(kBytes);
  auto* host = Host(*registrations, bytes);
  ASSERT_TRUE(registrations->Prepare({}));
  registrations->Move();
  EXPECT_TRUE(Same(registrations->KeysOf(host), StripeKeys{}));
  EXPECT_TRUE(Same(registrations->KeysOf(nullptr), StripeKeys{}));
  registrations->DropFormer();
  EXPECT_EQ(Registered(0), 0u);
  ASSERT_TRUE(registrations->Prepare({device_[1]})) << "and back";
  registrations->Move();
  EXPECT_TRUE(PeerWrites(1, bytes.data(), registrations->KeysOf(host)[0].remote, 1));

  Gpu gpu;
  ASSERT_TRUE(registrations->RegisterDmaBuf(gpu.address, kBytes, 0, gpu.fd.get()));
  const Status prepared = registrations->Prepare({});
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().code, ErrorCode::kUsage);
  EXPECT_THAT(prepared.error().what,
              AllOf(HasSubstr("cannot go on over TCP"), HasSubstr("GPU memory"), HasSubstr("NCCL_RELAY_GDR=off")));
}

TEST_F(RegistrationsTest, WhatIsRegisteredMeanwhileMovesToo) {
  auto registrations = Make({device_[0]});
  std::vector<std::byte> first(kBytes), second(kBytes);
  ASSERT_TRUE(registrations->Prepare({device_[1]}));
  auto* between = Host(*registrations, first);
  const StripeKeys before = registrations->KeysOf(between);
  registrations->Move();
  auto* after = Host(*registrations, second);
  EXPECT_FALSE(Same(registrations->KeysOf(between), before));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(PeerWrites(1, first.data(), registrations->KeysOf(between)[0].remote, 1));
    EXPECT_TRUE(PeerWrites(1, second.data(), registrations->KeysOf(after)[0].remote, 1));
    registrations->DropFormer();
  }
  EXPECT_EQ(Registered(0), 0u);
}

TEST_F(RegistrationsTest, OfAClosedCommNothingIsLeftAndNothingComesBack) {
  auto registrations = Make({device_[0]});
  std::vector<std::byte> bytes(kBytes);
  Host(*registrations, bytes);
  ASSERT_TRUE(registrations->Prepare({device_[1]}));
  registrations->Clear();
  EXPECT_EQ(Registered(0) + Registered(1), 0u);
  registrations->Move();
  EXPECT_TRUE(registrations->Prepare({device_[1]}));  // a remnant goes on, without the caller's memory
  EXPECT_EQ(Registered(1), 0u);
  EXPECT_FALSE(registrations->Register(bytes.data(), kBytes, kHostPointer));
  registrations->DropFormer();
}

// --- Several threads

// A registration under way may not outlive Deregister: NCCL may put other memory there, which would find it.
TEST_F(RegistrationsTest, DeregisterAwaitsARegistrationThatIsUnderWay) {
  auto& real = verbs_.table();
  const auto reg_mr = real.reg_mr_iova2;
  std::atomic<bool> entered{false}, deregistered{false}, watch{false}, early{false};
  const pid_t deregistering = gettid();
  real.reg_mr_iova2 = [&](ibv_pd* pd, void* data, size_t size, uint64_t iova, unsigned access) {
    if (watch.exchange(false)) {
      entered = true;
      while (!deregistered && !fake::IsAsleep(deregistering)) std::this_thread::yield();
      early = deregistered.load();
    }
    return reg_mr(pd, data, size, iova, access);
  };
  auto registrations = Make({device_[0]});
  std::vector<std::byte> bytes(kBytes);
  auto* region = Host(*registrations, bytes);
  watch = true;
  std::thread service([&] { EXPECT_TRUE(registrations->Prepare({device_[1]})); });
  while (!entered) std::this_thread::yield();
  registrations->Deregister(region);
  deregistered = true;
  EXPECT_EQ(Registered(0) + Registered(1), 0u);
  service.join();
  EXPECT_FALSE(early);
  EXPECT_EQ(Registered(0) + Registered(1), 0u);
}

// Holds a thread wherever it happens to be, by a signal. The thread may be anywhere, so the handler only waits.
class Hold {
 public:
  explicit Hold(std::thread& thread) {
    held_ = false;
    go_on_ = false;
    std::signal(SIGUSR1, [](int) {
      held_ = true;
      while (!go_on_) sched_yield();
      held_ = false;
    });
    pthread_kill(thread.native_handle(), SIGUSR1);
    while (!held_) std::this_thread::yield();
  }
  ~Hold() {
    go_on_ = true;
    while (held_) std::this_thread::yield();
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  static inline std::atomic<bool> held_{false}, go_on_{false};
};

// Who reads them is held at any instruction while the devices change twice: then its first and its second side are one.
TEST_F(RegistrationsTest, KeysAreThoseOfOneSetOfDevices) {
  auto registrations = Make({device_[0], device_[1]});
  std::vector<std::byte> bytes(kBytes);
  auto* region = Host(*registrations, bytes);
  // Those of one set are made one after the other.
  const StripeKeys first = registrations->KeysOf(region);
  const uint32_t apart = first[1].local - first[0].local;
  std::atomic<bool> end{false};
  uint64_t looks = 0, torn = 0;
  std::thread poster([&] {
    for (; !end || looks == 0; ++looks) {
      const StripeKeys keys = registrations->KeysOf(region);
      torn += keys[1].local - keys[0].local != apart ? 1 : 0;
    }
  });
  for (size_t i = 0; i < 300; ++i) {
    const Hold hold(poster);
    for (const size_t at : {2, 0}) {
      EXPECT_TRUE(registrations->Prepare({device_[at], device_[at + 1]}));
      registrations->Move();
      registrations->DropFormer();
    }
  }
  end = true;
  poster.join();
  EXPECT_EQ(torn, 0u) << "of " << looks;
}

TEST_F(RegistrationsTest, RegisterAndDeregisterBesideMoves) {
  auto registrations = Make({device_[0]}, true);
  std::vector<std::byte> bytes(kBytes);
  Gpu gpu;
  std::atomic<bool> end{false};
  std::thread nccl([&] {
    for (int i = 0; !end || i == 0; ++i) {
      auto* host = Host(*registrations, bytes);
      auto region = registrations->RegisterDmaBuf(gpu.address, kBytes, 0, gpu.fd.get());
      ASSERT_TRUE(region) << region.error().what;
      auto posted = registrations->PostFlush(gpu.address, 1, *region);
      ASSERT_TRUE(posted) << posted.error().what;
      auto* flush = static_cast<FlushRequest*>(*posted);
      while (true) {
        auto done = flush->flush->Test(*flush);
        ASSERT_TRUE(done) << done.error().what;
        if (*done == Progress::kDone) break;
      }
      registrations->Deregister(*region);
      registrations->Deregister(host);
    }
  });
  for (size_t i = 1; i <= 60; ++i) {
    ASSERT_TRUE(registrations->Prepare({device_[i % 4]}));
    registrations->Move();
    registrations->DropFormer();
  }
  end = true;
  nccl.join();
  registrations->Clear();
  for (size_t i = 0; i < device_.size(); ++i) EXPECT_EQ(Registered(i), 0u) << i;
}

// --- Flush

TEST_F(RegistrationsTest, WhatTheFormerDeviceHasWrittenIsVisibleWhenItIsDropped) {
  verbs_.HoldWritesToGpu();
  auto registrations = Make({device_[0]}, true);
  Gpu gpu;
  auto region = registrations->RegisterDmaBuf(gpu.address, kBytes, 0, gpu.fd.get());
  ASSERT_TRUE(region) << region.error().what;
  ASSERT_TRUE(PeerWrites(0, gpu.address, registrations->KeysOf(*region)[0].remote, 0x42));
  ASSERT_TRUE(registrations->Prepare({device_[1]}));
  registrations->Move();
  EXPECT_EQ(gpu.bytes[0], std::byte{0}) << "still on its way";
  const uint64_t reads = verbs_.traffic().reads;
  registrations->DropFormer();
  EXPECT_EQ(verbs_.traffic().reads, reads + 1) << "by a read, and not by the end of a registration, which helps here";
  EXPECT_EQ(gpu.bytes[0], std::byte{0x42});
  EXPECT_EQ(Registered(0), 0u);
}

TEST_F(RegistrationsTest, AFlushReadsByTheFormerDevicesToo) {
  verbs_.HoldWritesToGpu();
  auto registrations = Make({device_[0]}, true);
  Gpu gpu, other;
  auto* region = registrations->RegisterDmaBuf(gpu.address, kBytes, 0, gpu.fd.get()).value();
  const auto flush = [&](MemoryRegion* of) {
    const uint64_t before = verbs_.traffic().reads;
    auto* request = static_cast<FlushRequest*>(registrations->PostFlush(of->data, 1, of).value());
    EXPECT_EQ(request->flush->Test(*request).value(), Progress::kDone);
    return verbs_.traffic().reads - before;
  };
  EXPECT_EQ(flush(region), 1u);
  ASSERT_TRUE(PeerWrites(0, gpu.address, registrations->KeysOf(region)[0].remote, 1));
  ASSERT_TRUE(registrations->Prepare({device_[1], device_[2]}));
  EXPECT_EQ(flush(region), 1u);
  registrations->Move();
  ASSERT_TRUE(PeerWrites(1, gpu.address, registrations->KeysOf(region)[0].remote, 2));
  EXPECT_EQ(flush(region), 3u);
  EXPECT_EQ(gpu.bytes[0], std::byte{2});
  auto* later = registrations->RegisterDmaBuf(other.address, kBytes, 0, other.fd.get()).value();
  EXPECT_EQ(flush(later), 2u) << "nothing has come there by the former device";
  registrations->DropFormer();
  EXPECT_EQ(flush(region), 2u);
}

TEST_F(RegistrationsTest, AFlushOfADeviceThatIsGoneIsDone) {
  for (const bool moved : {false, true}) {
    FakeVerbs verbs(FakeVerbs::Pump::kManual);
    verbs.AddLink("c", "d");
    verbs.AddLink("e", "f");
    Registrations registrations({fake::OpenDevice(verbs, "c")}, true, kTimeout);
    Gpu gpu;
    auto* region = registrations.RegisterDmaBuf(gpu.address, kBytes, 0, gpu.fd.get()).value();
    auto* request = static_cast<FlushRequest*>(registrations.PostFlush(gpu.address, 1, region).value());
    EXPECT_EQ(request->flush->Test(*request).value(), Progress::kAgain);
    verbs.RaisePortEvent({"c"}, IBV_EVENT_DEVICE_FATAL);
    if (moved) {
      ASSERT_TRUE(registrations.Prepare({fake::OpenDevice(verbs, "e")}));
      registrations.Move();
      registrations.DropFormer();
    }
    // It is asked now and then whether it is still there.
    Progress progress = Progress::kAgain;
    for (int i = 0; i < 5000 && progress == Progress::kAgain; ++i) progress = request->flush->Test(*request).value();
    EXPECT_EQ(progress, Progress::kDone);
    registrations.Clear();
  }
}

}  // namespace
}  // namespace relay::comm::registrations
