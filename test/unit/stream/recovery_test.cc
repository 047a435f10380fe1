// Connections that lose their circuit, again and again and at every byte, and go on over another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <random>

#include "fake/stream_pair.h"

namespace relay::stream::recovery {
namespace {

using testing::HasSubstr;

const TimePoint kNow{std::chrono::hours(1)};

// A pair whose ends are told that another circuit may come. The wire between the two sockets is pumped by hand, so that
// a circuit can be cut at any byte of either direction.
class Chain {
 public:
  explicit Chain(uint64_t eager = fake::kEager) : eager_(eager) {
    StreamOptions options = fake::Options();
    options.segment = 1024;
    sender = std::make_shared<SendStream>(options, send_counters);
    receiver = std::make_shared<RecvStream>(options, recv_counters, eager);
    sender->set_recovers(true);
    receiver->set_recovers(true);
    Connect();
  }

  // The next circuit, in place of the last: the receiving end first, as OPENED travels.
  void Connect() {
    receiver->Fence();
    int near[2], far[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, near), 0);
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, far), 0);
    near_ = Fd(near[1]);
    far_ = Fd(far[1]);
    receiver->Adopt({.circuit = Circuit(far[0], recv_counters), .near_link = "A ab--ba"});
    sender->Adopt({.circuit = Circuit(near[0], send_counters), .eager_bytes = eager_, .near_link = "A ab--ba"});
    ++epoch_;
  }
  // So many bytes each way, then both ends hear the end.
  void CutAfter(size_t forward, size_t backward) {
    forward_left_ = forward;
    backward_left_ = backward;
  }
  // What the receiver has said arrives; what the sender has said does not.
  void PassBack() { Pass(far_, near_, backward_left_); }
  // True: the circuit has been cut.
  bool Turn() {
    Attend();
    const bool cut = !Pass(near_, far_, forward_left_) || !Pass(far_, near_, backward_left_);
    if (cut) {
      near_.reset();
      far_.reset();
      forward_left_ = backward_left_ = SIZE_MAX;
    }
    Attend();
    return cut;
  }
  void Attend() {
    auto nothing = [](const Attention&) {};
    sending = sender->Attend(kNow, false, nothing);
    receiving = receiver->Attend(kNow, false, nothing);
  }

  Counters send_counters, recv_counters;
  std::shared_ptr<SendStream> sender;
  std::shared_ptr<RecvStream> receiver;
  Attention sending, receiving;

 private:
  std::unique_ptr<circuit::Circuit> Circuit(int fd, Counters& counters) {
    return std::make_unique<circuit::Circuit>(transport::AdoptSocket(fd), CircuitName{7, epoch_}, "A ab--ba B",
                                              counters);
  }
  // False: the last byte that may pass has passed.
  static bool Pass(const Fd& from, const Fd& to, size_t& left) {
    char bytes[700];
    while (left != 0) {
      const ssize_t n = recv(from.get(), bytes, std::min(left, sizeof bytes), MSG_DONTWAIT);
      if (n <= 0) return true;
      EXPECT_EQ(send(to.get(), bytes, static_cast<size_t>(n), MSG_DONTWAIT | MSG_NOSIGNAL), n);
      if (left != SIZE_MAX) left -= static_cast<size_t>(n);
    }
    return false;
  }

  const uint64_t eager_;
  Fd near_, far_;
  uint32_t epoch_ = 0;
  size_t forward_left_ = SIZE_MAX, backward_left_ = SIZE_MAX;
};

// Messages of these sizes, posted as far ahead as there is room, each into memory that is used again for the next but
// three: what is placed too late or twice destroys another message.
class Traffic {
 public:
  Traffic(Chain& chain, std::vector<size_t> sizes) : chain_(chain), sizes_(std::move(sizes)) {
    const size_t largest = *std::max_element(sizes_.begin(), sizes_.end());
    for (auto& slot : out_) slot.resize(largest);
    for (auto& slot : in_) slot.resize(largest);
  }

  bool done() const { return sent_ == sizes_.size() && received_ == sizes_.size(); }
  size_t received() const { return received_; }

  void Step(bool receives = true) {
    while (receives && receiving_ != sizes_.size() && receiving_ < received_ + kSlots) {
      auto& slot = in_[receiving_ % kSlots];
      std::fill(slot.begin(), slot.end(), std::byte{0xee});
      requests_in_[receiving_ % kSlots] = fake::StreamPair::Post(*chain_.receiver, slot.data(), sizes_[receiving_]);
      ++receiving_;
    }
    while (sending_ != sizes_.size() && sending_ < sent_ + kSlots) {
      auto& slot = out_[sending_ % kSlots];
      const auto pattern = fake::Pattern(sizes_[sending_], static_cast<unsigned>(sending_));
      std::copy(pattern.begin(), pattern.end(), slot.begin());
      requests_out_[sending_ % kSlots] = fake::StreamPair::Post(*chain_.sender, slot.data(), sizes_[sending_]);
      ++sending_;
    }
    uint64_t bytes = 0;
    while (sent_ != sending_ && fake::StreamPair::Done(requests_out_[sent_ % kSlots])) {
      auto& slot = out_[sent_++ % kSlots];
      std::fill(slot.begin(), slot.end(), std::byte{0xdd});  // the caller's again
    }
    while (received_ != receiving_ && fake::StreamPair::Done(requests_in_[received_ % kSlots], &bytes)) {
      ASSERT_EQ(bytes, sizes_[received_]) << "message " << received_;
      const auto pattern = fake::Pattern(bytes, static_cast<unsigned>(received_));
      const auto& slot = in_[received_ % kSlots];
      ASSERT_TRUE(std::equal(pattern.begin(), pattern.end(), slot.begin())) << "message " << received_;
      ++received_;
    }
  }

 private:
  static constexpr size_t kSlots = 4;

  Chain& chain_;
  const std::vector<size_t> sizes_;
  std::array<std::vector<std::byte>, kSlots> out_, in_;
  std::array<Request*, kSlots> requests_out_{}, requests_in_{};
  size_t sending_ = 0, sent_ = 0, receiving_ = 0, received_ = 0;
};

const std::vector<size_t> kSizes{0, 1, 100, 1024, 1025, 5000, 0, 0, 3000, 70000, 8, 2048, 0};

TEST(Recovery, EveryMessageArrivesOnceWhereverTheCircuitIsCut) {
  for (uint64_t eager : {uint64_t{0}, fake::kEager}) {
    for (size_t forward = 0; forward < 90000; forward += forward < 12000 ? 37 : 1021) {
      Chain chain(eager);
      Traffic traffic(chain, kSizes);
      chain.CutAfter(forward, SIZE_MAX);
      int turns = 0;
      for (; !traffic.done() && turns < 20000 && !HasFatalFailure(); ++turns) {
        traffic.Step();
        if (chain.Turn()) chain.Connect();
      }
      ASSERT_TRUE(traffic.done()) << "eager " << eager << ", cut after " << forward;
      EXPECT_EQ(chain.recv_counters.messages_received, kSizes.size());
      EXPECT_EQ(chain.recv_counters.duplicates_dropped, 0U) << "the sender knew what was there";
    }
  }
}

TEST(Recovery, TheAnswersOfTheReceiverMayBeLostAtAnyByte) {
  for (size_t backward = 0; backward < 1500; backward += 7) {
    Chain chain;
    Traffic traffic(chain, kSizes);
    chain.CutAfter(SIZE_MAX, backward);
    for (int turns = 0; !traffic.done() && turns < 20000 && !HasFatalFailure(); ++turns) {
      traffic.Step();
      if (chain.Turn()) chain.Connect();
    }
    ASSERT_TRUE(traffic.done()) << "cut after " << backward;
  }
}

// Cut in RESUME, in what is replayed, and over and over.
TEST(Recovery, ManyCutsInARowAndReceivesThatComeLate) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return random() % n; };
    std::vector<size_t> sizes;
    for (int i = 0; i < 40; ++i) sizes.push_back(below(4) == 0 ? 0 : below(3) == 0 ? below(20000) : below(1500));
    Chain chain(below(2) == 0 ? 0 : fake::kEager);
    Traffic traffic(chain, sizes);
    size_t had = 0;
    unsigned fruitless = 0;
    const auto next_cut = [&] {
      // As often as the product puts up with at most: then it has to be left alone for a message.
      fruitless = traffic.received() == had ? fruitless + 1 : 0;
      had = traffic.received();
      if (fruitless > 40) return chain.CutAfter(SIZE_MAX, SIZE_MAX);
      chain.CutAfter(below(6000), below(2) == 0 ? SIZE_MAX : below(400));
    };
    next_cut();
    for (int turns = 0; !traffic.done() && turns < 50000 && !HasFatalFailure(); ++turns) {
      traffic.Step(/*receives=*/below(4) == 0);
      if (!chain.Turn()) continue;
      chain.Connect();
      next_cut();
    }
    ASSERT_TRUE(traffic.done()) << "seed " << seed;
  }
}

// The sending end is the one that replays too much; the buffer of the message has been given to another by then.
TEST(Recovery, WhatComesTwiceIsDroppedBeforeItIsPlaced) {
  StreamOptions options = fake::Options();
  Counters counters;
  auto receiver = std::make_shared<RecvStream>(options, counters, uint64_t{0});
  receiver->set_recovers(true);
  std::vector<std::byte> first(4000), second(4000);
  Request* one = fake::StreamPair::Post(*receiver, first.data(), first.size());
  Request* two = nullptr;
  auto circuit = [&](uint32_t epoch, Fd& far) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    far = Fd(ends[1]);
    return std::make_unique<circuit::Circuit>(transport::AdoptSocket(ends[0]), CircuitName{7, epoch}, "A B", counters);
  };
  auto data = [](const Fd& fd, uint64_t message, std::byte filled, uint64_t offset = 0, uint64_t length = 4000) {
    const FrameHeader header{
        .type = FrameType::kData, .message = message, .offset = offset, .length = length, .total = 4000};
    const FrameBytes bytes = EncodeFrame(header);
    std::vector<std::byte> frame(bytes.begin(), bytes.end());
    frame.resize(frame.size() + length, filled);
    EXPECT_EQ(send(fd.get(), frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  };
  Fd far;
  receiver->Adopt({.circuit = circuit(0, far)});
  data(far, 0, std::byte{1});
  ASSERT_TRUE(fake::StreamPair::Done(one));
  two = fake::StreamPair::Post(*receiver, first.data(), first.size());  // the same memory again
  data(far, 1, std::byte{2}, 0, 2000);
  EXPECT_FALSE(fake::StreamPair::Done(two));
  receiver->Fence();
  receiver->Adopt({.circuit = circuit(3, far)});
  data(far, 0, std::byte{0xbad & 0xff});
  data(far, 1, std::byte{0xbad & 0xff}, 0, 1000);
  EXPECT_FALSE(fake::StreamPair::Done(two));
  EXPECT_EQ(counters.duplicates_dropped, 2U);
  EXPECT_TRUE(std::all_of(first.begin(), first.begin() + 2000, [](std::byte b) { return b == std::byte{2}; }));
  data(far, 1, std::byte{2}, 2000, 2000);
  ASSERT_TRUE(fake::StreamPair::Done(two));
  EXPECT_TRUE(std::all_of(first.begin(), first.end(), [](std::byte b) { return b == std::byte{2}; }));
}

TEST(Recovery, AnEndWithoutACircuitSaysWhatItNeeds) {
  Chain chain;
  EXPECT_FALSE(chain.sending.need.circuit);
  chain.CutAfter(0, 0);
  chain.Turn();
  EXPECT_TRUE(chain.sending.need.circuit);
  EXPECT_TRUE(chain.receiving.need.circuit);
  EXPECT_FALSE(chain.sending.need.waiting) << "an idle connection may take its time";
  std::vector<std::byte> bytes(10);
  fake::StreamPair::Post(*chain.sender, bytes.data(), bytes.size());
  chain.Attend();
  EXPECT_TRUE(chain.sending.need.waiting);
  chain.Connect();
  chain.Attend();
  EXPECT_FALSE(chain.sending.need.circuit);
}

TEST(Recovery, WhatIsOutstandingEndsWithASentenceWhenNoCircuitComesInTime) {
  Chain chain;
  std::vector<std::byte> bytes(10);
  Request* request = fake::StreamPair::Post(*chain.sender, bytes.data(), bytes.size());
  chain.CutAfter(0, 0);
  chain.Turn();
  auto nothing = [](const Attention&) {};
  chain.sender->Attend(kNow, true, nothing);
  chain.sender->NoteTrouble("link A-B is down at A");
  uint64_t size = 0;
  for (int s = 0; s < 30; ++s) {
    chain.sender->Attend(kNow + std::chrono::seconds(s), true, nothing);
    ASSERT_TRUE(chain.sender->Test(*request, size)) << s;
  }
  chain.sender->Attend(kNow + std::chrono::seconds(31), true, nothing);
  auto ended = chain.sender->Test(*request, size);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kRemote);
  EXPECT_THAT(ended.error().what, HasSubstr("no other way within 30 s (NCCL_RELAY_RECOVER_TIMEOUT)"));
  EXPECT_THAT(ended.error().what, HasSubstr("link A-B is down at A"));
}

TEST(Recovery, ADoubtIsOverWithTheCircuitThatItWasAbout) {
  Chain chain;
  std::vector<std::byte> bytes(5000);
  fake::StreamPair::Post(*chain.sender, bytes.data(), bytes.size());
  auto nothing = [](const Attention&) {};
  bool doubt = false;
  for (int s = 0; s <= 4; ++s) doubt = chain.sender->Attend(kNow + std::chrono::seconds(s), true, nothing).need.doubt;
  EXPECT_TRUE(doubt);
  chain.Connect();
  EXPECT_FALSE(chain.sender->Attend(kNow + std::chrono::seconds(4), false, nothing).need.doubt);
}

// One direction alone is dead: the other end asks for ever, and hears nothing.
TEST(Recovery, QuestionsOfTheOtherEndAreNoSignThatItHearsUs) {
  Chain chain;
  std::vector<std::byte> out(5000), in(5000);
  fake::StreamPair::Post(*chain.receiver, in.data(), in.size());
  chain.Turn();  // the news of the receive passes
  fake::StreamPair::Post(*chain.sender, out.data(), out.size());
  auto nothing = [](const Attention&) {};
  bool doubt = false;
  for (int s = 0; s < 6 && !doubt; ++s) {
    chain.receiver->Attend(kNow + std::chrono::seconds(s), true, nothing);
    chain.PassBack();
    doubt = chain.sender->Attend(kNow + std::chrono::seconds(s), true, nothing).need.doubt;
  }
  EXPECT_TRUE(doubt);
}

TEST(Recovery, ACircuitWhoseLinkIsSaidToBeGoneHasAMomentToProveThatItIsNot) {
  for (bool answers : {false, true}) {
    Chain chain;  // so new that nobody has looked at it yet
    chain.Turn();
    auto nothing = [](const Attention&) {};
    chain.sender->Warn("link A-B is down");
    EXPECT_TRUE(chain.sender->Attend(kNow, true, nothing).soon);
    for (int i = 0; answers && i < 3; ++i) chain.Turn();
    const auto later = chain.sender->Attend(kNow + std::chrono::milliseconds(300), true, nothing);
    EXPECT_EQ(later.need.doubt, !answers);
    EXPECT_EQ(later.soon, !answers);
  }
}

TEST(Recovery, WhatWasSaidOfACircuitIsNotSaidOfTheNext) {
  Chain chain;
  auto nothing = [](const Attention&) {};
  chain.sender->Attend(kNow, true, nothing);
  chain.sender->Warn("link A-B is down");
  chain.sender->Attend(kNow, true, nothing);
  EXPECT_TRUE(chain.sender->Attend(kNow + std::chrono::milliseconds(300), true, nothing).need.doubt);
  chain.Connect();
  const auto next = chain.sender->Attend(kNow + std::chrono::milliseconds(400), true, nothing);
  EXPECT_FALSE(next.need.doubt);
  EXPECT_FALSE(next.soon);
}

// A process that was stopped, or found no core, has not listened.
TEST(Recovery, OnesOwnSleepIsNotTheOtherEndsSilence) {
  Chain chain;
  std::vector<std::byte> bytes(10);
  Request* request = fake::StreamPair::Post(*chain.sender, bytes.data(), bytes.size());
  auto nothing = [](const Attention&) {};
  uint64_t size = 0;
  chain.sender->Attend(kNow, true, nothing);
  TimePoint now = kNow + std::chrono::minutes(10);
  EXPECT_FALSE(chain.sender->Attend(now, true, nothing).need.doubt);
  EXPECT_TRUE(chain.sender->Test(*request, size));
  for (int s = 0; s < 40; ++s) chain.sender->Attend(now += std::chrono::seconds(1), true, nothing);
  EXPECT_FALSE(chain.sender->Test(*request, size));
}

TEST(Recovery, APeerThatLivesIsWaitedForWithoutLimit) {
  Chain chain;
  std::vector<std::byte> bytes(10);
  Request* request = fake::StreamPair::Post(*chain.sender, bytes.data(), bytes.size());
  auto nothing = [](const Attention&) {};
  TimePoint now = kNow;
  chain.sender->Attend(now, true, nothing);
  for (int i = 0; i < 20; ++i) {
    now += std::chrono::seconds(20);
    chain.sender->PeerLives();
    chain.sender->Attend(now, true, nothing);
    uint64_t size = 0;
    ASSERT_TRUE(chain.sender->Test(*request, size)) << i;
  }
}

TEST(Recovery, APeerThatIsGoneEndsItAtOnce) {
  Chain chain;
  std::vector<std::byte> bytes(10);
  Request* request = fake::StreamPair::Post(*chain.receiver, bytes.data(), bytes.size());
  chain.receiver->PeerGone("the peer has ended: rank 2");
  uint64_t size = 0;
  auto ended = chain.receiver->Test(*request, size);
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().what, HasSubstr("the peer has ended: rank 2"));
}

// The receiver has everything, says so, and closes; the circuit breaks before a word of it has arrived.
TEST(Recovery, ARemnantAnswersTheSenderThatMissedTheLastAcknowledgement) {
  Chain chain;
  std::vector<std::byte> in(100), out(100, std::byte{9});
  Request* receive = fake::StreamPair::Post(*chain.receiver, in.data(), in.size());
  chain.Turn();  // the news of the receive passes
  Request* send = fake::StreamPair::Post(*chain.sender, out.data(), out.size());
  chain.CutAfter(SIZE_MAX, 0);
  chain.Turn();
  EXPECT_TRUE(fake::StreamPair::Done(receive));
  chain.receiver->Close();
  in.assign(100, std::byte{0});
  chain.Attend();
  EXPECT_FALSE(chain.receiving.finished) << "the sender does not know";
  EXPECT_FALSE(fake::StreamPair::Done(send));
  chain.Connect();
  for (int i = 0; i < 5; ++i) chain.Turn();
  EXPECT_TRUE(fake::StreamPair::Done(send));
  EXPECT_TRUE(chain.receiving.finished);
  EXPECT_EQ(in, std::vector<std::byte>(100)) << "the caller's again";
}

TEST(Recovery, ARemnantWhoseSenderIsGoneIsFinished) {
  Chain chain;
  chain.receiver->Close();
  chain.CutAfter(0, 0);
  chain.Turn();
  EXPECT_FALSE(chain.receiving.finished);
  chain.receiver->PeerGone("the peer has ended");
  chain.Attend();
  EXPECT_TRUE(chain.receiving.finished);
}

TEST(Recovery, ACircuitIsReplacedWhileItStillWorks) {
  Chain chain;
  Traffic traffic(chain, kSizes);
  for (int turns = 0; !traffic.done() && turns < 20000; ++turns) {
    traffic.Step();
    chain.Turn();
    if (turns % 3 == 0) chain.Connect();
  }
  EXPECT_TRUE(traffic.done());
}

TEST(Recovery, WhatTheRanksDisagreeAboutIsNoMatterOfThePath) {
  Chain chain;
  std::vector<std::byte> small(10), large(2000);
  Request* receive = fake::StreamPair::Post(*chain.receiver, small.data(), small.size());
  fake::StreamPair::Post(*chain.sender, large.data(), large.size());
  for (int i = 0; i < 5; ++i) chain.Turn();
  uint64_t size = 0;
  auto ended = chain.receiver->Test(*receive, size);
  auto told = chain.sender->Post({large.data(), large.size()}, false);
  EXPECT_TRUE(!ended || !told);
  EXPECT_FALSE(chain.sending.need.circuit && chain.receiving.need.circuit);
}

}  // namespace
}  // namespace relay::stream::recovery
