// iflush as NCCL drives it: of comms over devices made of code.
#include "comm/memory/flush.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "comm/comm.h"
#include "comm/context.h"
#include "comm/memory/gpu_support.h"
#include "fake/lane_pair.h"

namespace relay::comm::flush {
namespace {

using stream::Request;
using testing::HasSubstr;

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr size_t kBytes = 1 << 16;

Fd MemoryFile() {
  Fd fd(memfd_create("gpu", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(fd.get(), kBytes), 0);
  return fd;
}

// A comm whose context is never asked: what it registers and flushes is its own affair.
class CommOnDevice : public testing::Test {
 protected:
  CommOnDevice() {
    verbs_.AddLink("a", "b");
    device_ = fake::OpenDevice(verbs_, "a");
  }
  std::unique_ptr<Comm> Make(Comm::Kind kind, bool by_device = true) {
    std::vector<std::shared_ptr<transport::rdma::Device>> devices;
    if (by_device) devices.push_back(device_);
    return std::make_unique<Comm>(kind, reinterpret_cast<Context&>(nobody_), nullptr, devices, kTimeout);
  }
  static void* At(size_t n) { return reinterpret_cast<void*>((n + 16) << 20); }

  alignas(Context) std::byte nobody_[sizeof(Context)]{};
  fake::FakeVerbs verbs_;
  std::shared_ptr<transport::rdma::Device> device_;
};

TEST_F(CommOnDevice, GpuMemoryThatIsReceivedIntoIsFlushedByAReadOfItsDevice) {
  auto comm = Make(Comm::Kind::kRecv);
  Fd fd = MemoryFile();
  auto region = comm->RegisterDmaBuf(At(0), kBytes, 0, fd.get());
  ASSERT_TRUE(region) << region.error().what;
  fd.reset();  // NCCL closes it at once
  auto request = comm->PostFlush(At(0), 100, *region);
  ASSERT_TRUE(request) << request.error().what;
  ASSERT_NE(*request, nullptr);
  EXPECT_EQ((*request)->stream, nullptr) << "by this a test() knows it";
  auto* flush = static_cast<FlushRequest*>(*request);
  EXPECT_EQ(*flush->flush->Test(*flush), Progress::kDone);
  EXPECT_EQ(verbs_.traffic().reads, 1u);
}

TEST_F(CommOnDevice, NothingIsFlushedOfHostMemoryOrOfNoByte) {
  auto comm = Make(Comm::Kind::kRecv);
  std::vector<std::byte> host(kBytes);
  const Fd fd = MemoryFile();
  auto plain = *comm->Register(host.data(), host.size(), kHostPointer);
  EXPECT_EQ(verbs_.live().queue_pairs, 0u) << "no queue pair for host memory";
  auto gpu = *comm->RegisterDmaBuf(At(0), kBytes, 0, fd.get());
  EXPECT_EQ(verbs_.live().queue_pairs, 1u);
  std::vector<std::byte> mapped(kBytes);  // what nvidia-peermem shows looks like memory of the process
  auto more = *comm->Register(mapped.data(), kBytes, kCudaPointer);
  EXPECT_EQ(verbs_.live().queue_pairs, 1u) << "one for all regions";
  EXPECT_EQ(*comm->PostFlush(host.data(), 100, plain), nullptr);
  EXPECT_EQ(*comm->PostFlush(At(0), 0, gpu), nullptr);
  EXPECT_EQ(*comm->PostFlush(At(0), 100, nullptr), nullptr);
  EXPECT_NE(*comm->PostFlush(mapped.data(), 1, more), nullptr);
}

TEST_F(CommOnDevice, WhoSendsHasNothingToFlush) {
  auto comm = Make(Comm::Kind::kSend);
  const Fd fd = MemoryFile();
  ASSERT_TRUE(comm->RegisterDmaBuf(At(0), kBytes, 0, fd.get()));
  EXPECT_EQ(verbs_.live().queue_pairs, 0u);
}

TEST_F(CommOnDevice, WithoutADeviceTheSentenceSaysWhatToSet) {
  auto comm = Make(Comm::Kind::kRecv, false);
  const Fd fd = MemoryFile();
  for (const auto& region :
       {comm->Register(At(0), kBytes, kCudaPointer), comm->RegisterDmaBuf(At(0), kBytes, 0, fd.get())}) {
    ASSERT_FALSE(region);
    EXPECT_EQ(region.error().code, ErrorCode::kUsage);
    EXPECT_THAT(region.error().what, AllOf(HasSubstr("the hops of this connection are TCP"),
                                           HasSubstr("NCCL_RELAY_GDR=off"), HasSubstr("NCCL_NET_GDR_LEVEL=LOC")));
  }
  EXPECT_TRUE(comm->Register(At(0), kBytes, kHostPointer));
}

TEST_F(CommOnDevice, WithoutAWayToFlushNoGpuMemoryIsReceivedInto) {
  auto comm = Make(Comm::Kind::kRecv);
  const Fd fd = MemoryFile();
  verbs_.FailCall("create_qp", ENOMEM);
  auto region = comm->RegisterDmaBuf(At(0), kBytes, 0, fd.get());
  ASSERT_FALSE(region);
  EXPECT_THAT(region.error().what, HasSubstr("a does not reach itself to flush it"));
  EXPECT_EQ(device_->registered_bytes(), 0u);
  EXPECT_TRUE(comm->RegisterDmaBuf(At(0), kBytes, 0, fd.get())) << "the next one goes well";
}

TEST_F(CommOnDevice, AFlushThatFailsIsASentence) {
  auto comm = Make(Comm::Kind::kRecv);
  const Fd fd = MemoryFile();
  auto region = *comm->RegisterDmaBuf(At(0), kBytes, 0, fd.get());
  verbs_.FailNext(verbs_.queue_pairs().front(), IBV_WC_REM_ACCESS_ERR);
  auto* request = static_cast<FlushRequest*>(*comm->PostFlush(At(0), 1, region));
  auto progress = request->flush->Test(*request);
  ASSERT_FALSE(progress);
  EXPECT_THAT(progress.error().what, AllOf(HasSubstr("a flush of GPU memory failed"), HasSubstr("a port 1")));
}

// --- Several devices

TEST(CommFlush, IsDoneWhenEveryDeviceHasRead) {
  fake::FakeVerbs verbs(fake::FakeVerbs::Pump::kManual);
  verbs.AddLink("a", "b");
  verbs.AddLink("c", "d");
  const std::vector<std::shared_ptr<transport::rdma::Device>> devices = {fake::OpenDevice(verbs, "a"),
                                                                         fake::OpenDevice(verbs, "c")};
  auto made = Flush::Make(devices, kTimeout);
  ASSERT_TRUE(made) << made.error().what;
  Flush& flush = **made;
  std::vector<std::byte> bytes(4096);
  const std::shared_ptr<transport::rdma::Memory> on_devices[] = {*devices[0]->Register(bytes.data(), bytes.size()),
                                                                 *devices[1]->Register(bytes.data(), bytes.size())};
  const auto at = reinterpret_cast<uint64_t>(bytes.data());
  const auto pairs = verbs.queue_pairs();
  ASSERT_EQ(pairs.size(), 2u);
  for (const auto& [first, second] : {std::pair(pairs[0], pairs[1]), std::pair(pairs[1], pairs[0])}) {
    auto* request = static_cast<FlushRequest*>(*flush.Post(at, on_devices));
    EXPECT_EQ(*flush.Test(*request), Progress::kAgain);
    ASSERT_TRUE(verbs.StepPair(first));
    EXPECT_EQ(*flush.Test(*request), Progress::kAgain) << "the other device has not read yet";
    ASSERT_TRUE(verbs.StepPair(second));
    EXPECT_EQ(*flush.Test(*request), Progress::kDone);
  }
}

TEST(CommFlush, ManyAtOnceAreDoneInAnyOrderOfAsking) {
  fake::FakeVerbs verbs(fake::FakeVerbs::Pump::kManual);
  verbs.AddLink("a", "b");
  const auto device = fake::OpenDevice(verbs, "a");
  auto flush = std::move(*Flush::Make({&device, 1}, kTimeout));
  std::vector<std::byte> bytes(4096);
  const auto memory = *device->Register(bytes.data(), bytes.size());
  const auto at = reinterpret_cast<uint64_t>(bytes.data());
  for (int round = 0; round < 3; ++round) {
    std::vector<FlushRequest*> requests;
    for (size_t i = 0; i < transport::rdma::FlushPair::kMost; ++i) {
      auto posted = flush->Post(at, {&memory, 1});
      ASSERT_TRUE(posted) << posted.error().what;
      requests.push_back(static_cast<FlushRequest*>(*posted));
    }
    const auto beyond = flush->Post(at, {&memory, 1});
    ASSERT_FALSE(beyond) << "NCCL would take a null request for a flush that is done";
    EXPECT_THAT(beyond.error().what, HasSubstr("more than 64 flushes"));
    verbs.StepUntilIdle();
    for (auto it = requests.rbegin(); it != requests.rend(); ++it) EXPECT_EQ(*flush->Test(**it), Progress::kDone);
  }
}

// --- What NCCL is told

TEST(GpuSupport, PeermemIsFoundWhereNcclLooksForIt) {
  std::string root = (std::filesystem::temp_directory_path() / "nccl-relay-gpu-XXXXXX").string();
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  for (const char* folder : {"/sys/kernel/mm/memory_peers/nv_mem", "/sys/module/nvidia_peermem"}) {
    EXPECT_FALSE(PeermemLoaded(root));
    std::filesystem::create_directories(root + folder);
    EXPECT_FALSE(PeermemLoaded(root)) << folder;
    std::ofstream(root + folder + std::string("/version")) << "1\n";
    EXPECT_TRUE(PeermemLoaded(root)) << folder;
    std::filesystem::remove_all(root + "/sys");
  }
  std::filesystem::remove_all(root);
}

TEST(GpuSupport, AKindCountsOnlyWhereAllDevicesTakeIt) {
  fake::FakeVerbs verbs;
  verbs.AddLink("a", "b");
  verbs.Add({.name = "old", .ports = {fake::RocePort("10.0.0.9")}, .dma_buf = false});
  const auto of = [&](std::vector<control::VerbsDevice> devices) {
    return FindGpuSupport(devices, "/nowhere", &verbs.table());
  };
  EXPECT_TRUE(of({{"a", 1}, {"b", 1}}).dma_buf);
  EXPECT_FALSE(of({{"a", 1}, {"b", 1}}).peermem);
  EXPECT_FALSE(of({{"a", 1}, {"old", 1}}).dma_buf);
  EXPECT_FALSE(of({{"a", 1}, {"gone", 1}}).any());
  EXPECT_FALSE(of({}).any());
  EXPECT_EQ(verbs.Leaks(), "");
}

}  // namespace
}  // namespace relay::comm::flush
