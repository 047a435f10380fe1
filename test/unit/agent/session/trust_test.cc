// Sessions of a fabric with a key, and somebody on the wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "unit/agent/session/nodes.h"
#include "unit/agent/trust/keys.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;

fabric::LinkStateMessage TableMessage(uint64_t hash) { return fabric::message::Digest{hash}; }

// Stands in for a node's address, passes on what comes, and changes it on the way to that node.
class TappedWire {
 public:
  using Change = std::function<std::vector<std::byte>(std::vector<std::byte>)>;
  TappedWire(EventLoop& loop, const SocketAddress& at, const SocketAddress& to)
      : loop_(loop), listener_(*transport::tcp::Listener::Open("lo", at.WithPort(0), {})), at_(at), to_(to) {
    EXPECT_TRUE(loop_.Watch(listener_.fd(), EPOLLIN, [this](uint32_t) { Accept(); }));
  }
  ~TappedWire() {
    HangUp();
    loop_.Forget(listener_.fd());
  }
  const SocketAddress& address() const { return listener_.address(); }
  void Insert(std::span<const std::byte> bytes) { EXPECT_TRUE(WriteWhole(out_.get(), bytes)); }

  Change change = [](std::vector<std::byte> bytes) { return bytes; };
  std::vector<std::byte> seen;  // on the way to the node

 private:
  void HangUp() {
    for (Fd* fd : {&in_, &out_}) {
      if (*fd) loop_.Forget(fd->get());
      fd->reset();
    }
  }
  void Accept() {
    auto accepted = listener_.Accept();
    if (!accepted || !*accepted) return;
    HangUp();
    in_ = std::move((*accepted)->fd);
    auto out = transport::tcp::StartDial({"lo", at_, to_}, {});
    ASSERT_TRUE(out) << out.error().what;
    out_ = std::move(*out);
    EXPECT_TRUE(loop_.Watch(in_.get(), EPOLLIN, [this](uint32_t) { Pass(in_, out_, true); }));
    EXPECT_TRUE(loop_.Watch(out_.get(), EPOLLIN, [this](uint32_t) { Pass(out_, in_, false); }));
  }
  void Pass(Fd& from, Fd& to, bool forward) {
    std::vector<std::byte> room(65536);
    const ssize_t n = recv(from.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (n <= 0) return HangUp();
    room.resize(static_cast<size_t>(n));
    if (forward) {
      seen.insert(seen.end(), room.begin(), room.end());
      room = change(std::move(room));
    }
    WriteWhole(to.get(), room);
  }
  EventLoop& loop_;
  transport::tcp::Listener listener_;
  SocketAddress at_, to_;
  Fd in_, out_;
};

class SessionTrust : public SessionTest {
 protected:
  SessionNode a_{loop_, 1, Next(), KeyOf('k')}, b_{loop_, 2, Next(), KeyOf('k')};

  void FindThrough(const TappedWire& wire) {
    Adjacent sees = a_.Sees(b_);
    sees.far_address = wire.address();
    b_.table->Found(b_.Sees(a_));
    a_.table->Found(sees);
  }
};

TEST_F(SessionTrust, OneKeyCarriesLinkState) {
  Join(a_, b_);
  for (uint64_t i = 0; i < 50; ++i) {
    a_.table->Send(a_.ups[0].id, TableMessage(i));
    b_.table->Send(b_.ups[0].id, TableMessage(i));
  }
  ASSERT_TRUE(Eventually([&] { return a_.heard.size() == 50 && b_.heard.size() == 50; }));
  EXPECT_EQ(a_.counters.link_state_forged, 0u);
}

TEST_F(SessionTrust, DifferentKeysNeverJoin) {
  SessionNode c(loop_, 3, Next(), KeyOf('l'));
  Find(a_, c);
  ASSERT_TRUE(Eventually([&] { return a_.counters.handshakes_refused_key >= 1 && !c.refusals.empty(); }));
  EXPECT_EQ(c.refusals[0], "n3 and n1 hold different keys: compare the files that NCCL_RELAY_KEY_FILE names");
  EXPECT_FALSE(a_.up() || c.up());
}

TEST_F(SessionTrust, NoKeyAgainstAKeyNeverJoinsEitherWay) {
  SessionNode keyless(loop_, 3, Next()), low(loop_, 0x0, Next());
  Find(a_, keyless);
  ASSERT_TRUE(Eventually([&] { return !keyless.refusals.empty(); }));
  EXPECT_THAT(keyless.refusals[0], HasSubstr("n3 has no key and n1's fabric has one"));
  Find(low, b_);
  ASSERT_TRUE(Eventually([&] { return !b_.refusals.empty(); }));
  EXPECT_EQ(b_.refusals[0],
            "n2's fabric has a key and n0 offers none: set NCCL_RELAY_KEY_FILE on n0 to the fabric's key");
  EXPECT_FALSE(a_.up() || keyless.up() || low.up() || b_.up());
}

TEST_F(SessionTrust, AKeyThatIsSetLaterCountsForCallsFromThenOn) {
  SessionNode c(loop_, 3, Next(), KeyOf('l'));
  Find(a_, c);
  ASSERT_TRUE(Eventually([&] { return a_.counters.handshakes_refused_key >= 1; }));
  a_.table->SetKey(KeyOf('l'));
  ASSERT_TRUE(Eventually([&] { return a_.up() && c.up(); }));
}

TEST_F(SessionTrust, ForgedLinkStateEndsTheSessionAndIsNotBelieved) {
  TappedWire wire(loop_, Next(), b_.address);
  FindThrough(wire);
  ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up() && !a_.measured.empty(); }));
  wire.change = [&](std::vector<std::byte> bytes) {
    bytes[kSetupPrefixBytes] ^= std::byte{1};
    return bytes;
  };
  a_.table->Send(a_.ups[0].id, TableMessage(1));
  ASSERT_TRUE(Eventually([&] { return b_.downs.size() == 1; }));
  EXPECT_EQ(b_.counters.link_state_forged, 1u);
  EXPECT_THAT(b_.reasons[0], HasSubstr("without proof of the fabric's key"));
  EXPECT_TRUE(b_.heard.empty());
}

TEST_F(SessionTrust, ReplayedLinkStateIsRefused) {
  TappedWire wire(loop_, Next(), b_.address);
  FindThrough(wire);
  ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up() && !a_.measured.empty(); }));
  wire.seen.clear();
  a_.table->Send(a_.ups[0].id, TableMessage(1));
  ASSERT_TRUE(Eventually([&] { return b_.heard.size() == 1; }));
  wire.Insert(std::vector<std::byte>(wire.seen));
  ASSERT_TRUE(Eventually([&] { return b_.downs.size() == 1; }));
  EXPECT_EQ(b_.counters.link_state_forged, 1u);
  EXPECT_EQ(b_.heard.size(), 1u);
}

TEST_F(SessionTrust, UnsealedLinkStateIsRefused) {
  TappedWire wire(loop_, Next(), b_.address);
  FindThrough(wire);
  ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up() && !a_.measured.empty(); }));
  auto unsealed = EncodeSetup(SetupType::kTable, std::vector<std::byte>(100));
  unsealed.resize(unsealed.size() + sizeof(Mac));  // what stands where the MAC should
  wire.Insert(unsealed);
  ASSERT_TRUE(Eventually([&] { return b_.downs.size() == 1; }));
  EXPECT_TRUE(b_.heard.empty());
}

TEST_F(SessionTrust, APlayedBackCallIsRefused) {
  TappedWire wire(loop_, Next(), b_.address);
  FindThrough(wire);
  ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up(); }));
  const auto recorded = wire.seen;
  Fd replay = Dial(b_, Next());
  ASSERT_TRUE(WriteWhole(replay.get(), recorded));
  ASSERT_TRUE(Eventually([&] { return !b_.refusals.empty(); }));
  EXPECT_THAT(b_.refusals[0], HasSubstr("hold different keys"));
  EXPECT_EQ(b_.ups.size(), 1u);
}

TEST_F(SessionTrust, ASessionOfAnotherNodeThanTheOneThatProvedItselfIsRefused) {
  b_.table->Found(b_.Sees(a_));
  const auto message =
      EncodeSetup(SetupType::kSession, EncodeBody(SessionMessage{1, "n1", 1, "0.1.0", "lo", "lo", 21517}));
  DialerHandshake thief(KeyOf('k'), {{0, "n0"}, {2, "n2"}, message}, RandomNonce());
  Fd fd = Dial(b_, Next());
  ASSERT_TRUE(WriteWhole(fd.get(), thief.Begin()));
  SetupReader reader;
  ASSERT_TRUE(Eventually([&] {
    auto progress = reader.Read(fd.get());
    return progress && *progress == Progress::kDone;
  }));
  auto step = thief.Receive(reader.type(), reader.body());
  ASSERT_FALSE(step.refused);
  ASSERT_TRUE(WriteWhole(fd.get(), step.send));
  EXPECT_THAT(RefusedOn(fd.get()).sentence, HasSubstr("another node than it proved to be"));
  EXPECT_FALSE(b_.up());
}

}  // namespace
}  // namespace relay::agent
