// What the progress thread passes to a plugin, and what it notices about one: against a plugin made of counters.
#include "perf/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace relay::perf {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

void* const kOptional = reinterpret_cast<void*>(NCCL_NET_OPTIONAL_RECV_COMPLETION);

// Requests are done when they are tested for the second time. Used by the progress thread alone until it has ended.
class FakeNet final : public Net {
 public:
  struct Post {
    void *data, *before;
    size_t size;
    int tag;
  };
  struct Request {
    bool flush;
    int tests = 0;
  };

  explicit FakeNet(int abi) : abi_(abi) {}
  int abi() const override { return abi_; }
  const char* name() const override { return "fake"; }
  ncclResult_t Init(void**, ncclDebugLogger_t) override { return ncclSuccess; }
  ncclResult_t Devices(int*) override { return ncclSuccess; }
  ncclResult_t GetProperties(int, Properties*) override { return ncclSuccess; }
  ncclResult_t Listen(void*, int, void*, void**) override { return ncclSuccess; }
  ncclResult_t Connect(void*, int, void*, void**) override { return ncclSuccess; }
  ncclResult_t Accept(void*, void**) override { return ncclSuccess; }
  ncclResult_t RegMr(void*, void*, size_t, void**) override { return ncclSuccess; }
  ncclResult_t DeregMr(void*, void*) override { return ncclSuccess; }
  ncclResult_t Isend(void*, void* data, size_t size, int tag, void*, void** request) override {
    return Take({data, *request, size, tag}, request);
  }
  ncclResult_t Irecv(void*, void* data, size_t size, int tag, void*, void** request) override {
    if (leaves_hint) return ncclSuccess;
    return Take({data, *request, size, tag}, request);
  }
  ncclResult_t Iflush(void*, void*, int size, void*, void** request) override {
    flushed.push_back(size);
    *request = Make(true);
    return ncclSuccess;
  }
  ncclResult_t Test(void* request, int* done, int* size) override {
    auto* r = static_cast<Request*>(request);
    if (fails) return ncclRemoteError;
    if (leaves_done) return ncclSuccess;
    *done = ++r->tests > 1;
    if (!*done) return ncclSuccess;
    in_flight -= !r->flush;
    sizes_given.push_back(size != nullptr);
    if (size != nullptr && !leaves_size) *size = arrives;
    return ncclSuccess;
  }
  ncclResult_t CloseSend(void*) override { return ncclSuccess; }
  ncclResult_t CloseRecv(void*) override { return ncclSuccess; }
  ncclResult_t CloseListen(void*) override { return ncclSuccess; }
  ncclResult_t Finalize(void*) override { return ncclSuccess; }
  void SetNetAttributes(void*) override { ++attributes; }
  Status CheckTable() const override { return {}; }

  int refusals = 0;  // how many posts get NULL first
  bool leaves_hint = false, leaves_done = false, leaves_size = false, fails = false;
  int arrives = 100;
  std::vector<Post> posts, refused;
  std::set<std::thread::id> threads;  // that have posted
  std::vector<int> flushed;
  std::vector<bool> sizes_given;
  int in_flight = 0, most_in_flight = 0, attributes = 0;

 private:
  Request* Make(bool flush) {
    requests_.push_back(std::make_unique<Request>(Request{flush}));
    return requests_.back().get();
  }
  ncclResult_t Take(const Post& post, void** request) {
    *request = nullptr;
    if (refusals-- > 0) {
      refused.push_back(post);
      return ncclSuccess;
    }
    posts.push_back(post);
    threads.insert(std::this_thread::get_id());
    most_in_flight = std::max(most_in_flight, ++in_flight);
    *request = Make(false);
    return ncclSuccess;
  }

  const int abi_;
  std::vector<std::unique_ptr<Request>> requests_;
};

constexpr Layouts kLayouts{{1024, 4, 1}};

class PerfProgress : public ::testing::Test {
 protected:
  std::unique_ptr<Connection> Connect(Direction direction) {
    auto c = std::make_unique<Connection>(direction, 5, 0, kLayouts);
    for (size_t i = 0; i < kProtocols; ++i) {
      c->memory[i] = Memory::Map(kLayouts.Of(static_cast<Protocol>(i)).bytes()).value();
    }
    return c;
  }
  // Runs one operation whose slots the kernel's side fills, or frees, as soon as it may.
  Status Run(Connection& c, Protocol protocol, uint64_t messages, bool flush = false, bool borrowed = false) {
    ProgressThread progress({&net_, nullptr, 2, flush, borrowed}, latch_);
    progress.Post({{&c, protocol, messages}});
    auto& handed = c.direction == Direction::kSend ? c.filled : c.freed;
    auto& returned = c.direction == Direction::kSend ? c.freed : c.filled;
    const uint64_t slots = c.layouts.Of(protocol).slots;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!latch_.raised() && std::chrono::steady_clock::now() < deadline) {
      const uint64_t back = returned.load(std::memory_order_acquire);
      if (c.direction == Direction::kSend) {
        while (handed.load() < std::min(messages, back + slots)) {
          c.sizes[handed.load() % slots] = 40 + handed.load();
          handed.store(handed.load() + 1, std::memory_order_release);
        }
      } else {
        handed.store(back, std::memory_order_release);
      }
      if (progress.Idle(milliseconds(1))) break;
    }
    EXPECT_TRUE(latch_.raised() || progress.Idle(milliseconds(0)));
    latch_.Stop();
    progress.Join();
    return latch_.status();
  }

  FakeNet net_{12};
  Latch latch_;
};

TEST_F(PerfProgress, SendsFindTheirSlotsOlderRequest) {
  const auto c = Connect(Direction::kSend);
  ASSERT_TRUE(Run(*c, Protocol::kSimple, 10));
  ASSERT_EQ(net_.posts.size(), 10U);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(net_.posts[i].before == nullptr, i < 4) << i;
    EXPECT_EQ(net_.posts[i].size, 40 + i);
    EXPECT_EQ(net_.posts[i].tag, 2) << "the sender's rank";
    EXPECT_EQ(net_.posts[i].data, c->Slot(Protocol::kSimple, i));
  }
  EXPECT_LE(net_.most_in_flight, 4);
  EXPECT_EQ(c->tested, 10U);
  EXPECT_EQ(net_.attributes, 1);
}

TEST_F(PerfProgress, NullMeansAgainWithTheSameArguments) {
  const auto c = Connect(Direction::kSend);
  net_.refusals = 5;
  ASSERT_TRUE(Run(*c, Protocol::kSimple, 2));
  ASSERT_EQ(net_.refused.size(), 5U);
  for (const auto& post : net_.refused) {
    EXPECT_EQ(post.data, net_.posts[0].data);
    EXPECT_EQ(post.size, net_.posts[0].size);
  }
}

TEST_F(PerfProgress, SimpleReceivesTakeTheWholeSlotAndNoHint) {
  const auto c = Connect(Direction::kReceive);
  ASSERT_TRUE(Run(*c, Protocol::kSimple, 10));
  for (const auto& post : net_.posts) {
    EXPECT_EQ(post.before, nullptr);
    EXPECT_EQ(post.size, 1024U);
    EXPECT_EQ(post.tag, 5) << "the sender's rank";
  }
  EXPECT_EQ(c->sizes[0], 100U) << "what came";
}

TEST_F(PerfProgress, ReceivesOfLlSayThatTheKernelSeesThem) {
  const auto c = Connect(Direction::kReceive);
  ASSERT_TRUE(Run(*c, Protocol::kLl, 20));
  for (const auto& post : net_.posts) EXPECT_EQ(post.before, kOptional);
  EXPECT_LE(net_.most_in_flight, 8);
}

TEST_F(PerfProgress, AFlushIsWaitedForAndStaysInItsSlot) {
  const auto c = Connect(Direction::kReceive);
  ASSERT_TRUE(Run(*c, Protocol::kSimple, 6, true));
  EXPECT_EQ(net_.flushed, std::vector<int>(6, 100));
  EXPECT_EQ(net_.posts[0].before, nullptr);
  EXPECT_NE(net_.posts[5].before, nullptr) << "the older flush";
}

TEST_F(PerfProgress, NothingIsFlushedThatIsEmptyOrLl) {
  const auto c = Connect(Direction::kReceive);
  net_.arrives = 0;
  ASSERT_TRUE(Run(*c, Protocol::kSimple, 3, true));
  EXPECT_TRUE(net_.flushed.empty());
}

TEST_F(PerfProgress, GoesOnInTheTurnsThatItIsLent) {
  const auto c = Connect(Direction::kReceive);
  ASSERT_TRUE(Run(*c, Protocol::kSimple, 9, /*flush=*/true, /*borrowed=*/true));
  EXPECT_EQ(c->tested, 9U);
  EXPECT_THAT(net_.threads, ::testing::ElementsAre(std::this_thread::get_id()));
}

TEST_F(PerfProgress, OlderCoresGiveNoHint) {
  FakeNet old(8);
  const auto c = Connect(Direction::kReceive);
  {
    ProgressThread progress({&old, nullptr, 2, false}, latch_);
    progress.Post({{c.get(), Protocol::kLl, 3}});
    EXPECT_TRUE(progress.Idle(milliseconds(5000)));
  }
  ASSERT_EQ(old.posts.size(), 3U);
  for (const auto& post : old.posts) EXPECT_EQ(post.before, nullptr);
}

TEST_F(PerfProgress, OlderCoresAskForNoSizeOfASend) {
  FakeNet old(8);
  const auto c = Connect(Direction::kSend);
  c->filled = 2;
  {
    ProgressThread progress({&old, nullptr, 2, false}, latch_);
    progress.Post({{c.get(), Protocol::kSimple, 2}});
    EXPECT_TRUE(progress.Idle(milliseconds(5000)));
  }
  EXPECT_EQ(old.sizes_given, std::vector<bool>(2, false));
}

TEST_F(PerfProgress, ALateReceiveIsPostedLateAndOnlyTheFirstTime) {
  const auto c = Connect(Direction::kReceive);
  c->freed = 4;
  constexpr milliseconds kLate(50);
  ProgressThread progress(
      {.net = &net_, .context = nullptr, .rank = 2, .flush = false, .borrowed = true, .late = kLate}, latch_);
  const auto start = std::chrono::steady_clock::now();
  progress.Post({{c.get(), Protocol::kSimple, 1}, {c.get(), Protocol::kSimple, 1}});
  EXPECT_FALSE(progress.Turn());
  EXPECT_TRUE(net_.posts.empty());
  EXPECT_TRUE(progress.Idle(milliseconds(5000)));
  EXPECT_GE(std::chrono::steady_clock::now() - start, kLate);
  EXPECT_EQ(net_.posts.size(), 2U);
}

TEST_F(PerfProgress, TheGapIsThatOfOutstandingRequestsAndOnlyMeasuredIfWanted) {
  for (const bool wanted : {false, true}) {
    Latch latch;
    const auto c = Connect(Direction::kReceive);
    c->freed = 4;
    ProgressThread progress(
        {.net = &net_, .context = nullptr, .rank = 2, .flush = false, .borrowed = true, .gap = wanted}, latch);
    const auto start = std::chrono::steady_clock::now();
    progress.Post({{c.get(), Protocol::kSimple, 1}});
    progress.Turn();  // posted, and tested once: the fake's requests are done the second time
    EXPECT_TRUE(progress.Idle(milliseconds(5000)));
    EXPECT_EQ(progress.longest_gap().count() > 0, wanted);
    EXPECT_LE(progress.longest_gap(), std::chrono::steady_clock::now() - start);
  }
}

// A careless plugin ---------------------------------------------------------------------------------------------------

TEST_F(PerfProgress, AnUntouchedHintIsNoticed) {
  net_.leaves_hint = true;
  const auto c = Connect(Direction::kReceive);
  EXPECT_THAT(Run(*c, Protocol::kLl, 1).error().what,
              HasSubstr("left the hint 0x1 in *request on the connection from"));
}

TEST_F(PerfProgress, AnUntouchedResultIsNoticed) {
  net_.leaves_done = true;
  const auto c = Connect(Direction::kSend);
  EXPECT_THAT(Run(*c, Protocol::kSimple, 1).error().what, HasSubstr("left *done unwritten"));
}

TEST_F(PerfProgress, AnUntouchedSizeIsNoticed) {
  net_.leaves_size = true;
  const auto c = Connect(Direction::kReceive);
  EXPECT_THAT(Run(*c, Protocol::kSimple, 1).error().what, HasSubstr("left *sizes unwritten"));
}

TEST_F(PerfProgress, MoreThanFitsIsNoticed) {
  net_.arrives = 2000;
  const auto c = Connect(Direction::kReceive);
  EXPECT_THAT(Run(*c, Protocol::kSimple, 1).error().what, HasSubstr("2000 bytes came into a slot of 1024"));
}

TEST_F(PerfProgress, AFailedCallIsNamed) {
  net_.fails = true;
  const auto c = Connect(Direction::kSend);
  EXPECT_EQ(Run(*c, Protocol::kSimple, 1).error().what,
            "test() failed with ncclRemoteError (6) on the connection to rank 5, channel 0");
}

}  // namespace
}  // namespace relay::perf
