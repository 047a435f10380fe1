// Sessions between nodes on the loopback interface.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "unit/agent/session/nodes.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

fabric::LinkStateMessage Digest(uint64_t hash) { return fabric::message::Digest{hash}; }
// As large as one message may be, or nearly.
fabric::LinkStateMessage LargeTable() {
  fabric::message::Records records;
  records.records.resize(4);
  for (auto& record : records.records) record.bytes.resize(200'000);
  return records;
}
uint64_t HashOf(const fabric::LinkStateMessage& m) { return std::get<fabric::message::Digest>(m).hash; }

class Sessions : public SessionTest {
 protected:
  std::vector<std::byte> SessionFrom(NodeId node, const std::string& port = "lo", uint64_t incarnation = 1) {
    return EncodeSetup(SetupType::kSession,
                       EncodeBody(SessionMessage{node, "stranger", incarnation, "0.1.0", port, "lo", 21517}));
  }
  SessionNode a_{loop_, 1, Next()}, b_{loop_, 2, Next()};
};

TEST_F(Sessions, ComeUpAtBothEndsAndKnowEachOther) {
  Join(a_, b_);
  ASSERT_EQ(a_.ups.size(), 1u);
  const SessionFacts& f = a_.ups[0];
  EXPECT_NE(f.id, 0u);
  EXPECT_EQ(f.near_port, "lo");
  EXPECT_EQ(f.far, (PortName{2, "lo"}));
  EXPECT_EQ(f.far_name, "n2");
  EXPECT_EQ(f.far_build, "0.1.0");
  EXPECT_EQ(f.far_incarnation, 1u);
  EXPECT_EQ(f.target.interface, "lo");
  EXPECT_EQ(f.target.far.ToText(), b_.address.ToText());
  EXPECT_TRUE(f.target.near.SameHost(a_.address));
  EXPECT_EQ(b_.ups[0].target.far.ToText(), a_.address.ToText());
  EXPECT_EQ(a_.counters.sessions_opened, 1u);
  EXPECT_EQ(b_.counters.sessions_opened, 1u);
}

TEST_F(Sessions, CarryLinkStateBothWaysInOrder) {
  Join(a_, b_);
  for (uint64_t i = 0; i < 100; ++i) {
    a_.table->Send(a_.ups[0].id, Digest(i));
    b_.table->Send(b_.ups[0].id, Digest(1000 + i));
  }
  ASSERT_TRUE(Eventually([&] { return a_.heard.size() == 100 && b_.heard.size() == 100; }));
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(HashOf(b_.heard[i].second), i);
    EXPECT_EQ(HashOf(a_.heard[i].second), 1000 + i);
  }
  EXPECT_EQ(a_.heard[0].first, a_.ups[0].id);
  EXPECT_EQ(a_.counters.link_state_sent, 100u);
  EXPECT_EQ(a_.counters.link_state_received, 100u);
  a_.table->Send(4711, Digest(1));  // of no session
}

TEST_F(Sessions, MeasureTheLine) {
  Join(a_, b_);
  ASSERT_TRUE(Eventually([&] { return !a_.measured.empty() && !b_.measured.empty(); }));
  const uint32_t us = a_.table->sessions()[0].latency_us;
  EXPECT_GE(us, 1u);
  EXPECT_LT(us, 1'000'000u);
  EXPECT_EQ(a_.measured.back().id, a_.ups[0].id);
}

TEST_F(Sessions, ACallThatComesBeforeItsHelloWaits) {
  a_.table->Found(a_.Sees(b_));
  ASSERT_TRUE(Eventually([&] { return b_.greetings.empty() && a_.counters.sessions_opened == 0; }));
  for (int i = 0; i < 20; ++i) loop_.RunOnce(std::chrono::milliseconds(5));
  EXPECT_FALSE(b_.up());
  b_.table->Found(b_.Sees(a_));
  ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up(); }));
  EXPECT_EQ(b_.counters.sessions_refused, 0u);
}

TEST_F(Sessions, ACallThatDiscoveryNeverFindsIsRefusedInWords) {
  Fd stranger = Dial(b_, Next());
  ASSERT_TRUE(WriteWhole(stranger.get(), SessionFrom(1)));
  auto refused = RefusedOn(stranger.get());
  EXPECT_EQ(refused.code, RefusedCode::kForbidden);
  EXPECT_FALSE(refused.final);
  EXPECT_EQ(
      refused.sentence,
      "n2 has not found a link from its port lo to stranger/lo: hellos must pass both ways (multicast, UDP port " +
          std::to_string(b_.self.port) + ")");
  EXPECT_EQ(b_.counters.sessions_refused, 1u);
  EXPECT_FALSE(b_.up());
}

TEST_F(Sessions, AnotherPortOfAKnownNodeIsNotTheLink) {
  b_.table->Found(b_.Sees(a_));
  Fd stranger = Dial(b_, Next());
  ASSERT_TRUE(WriteWhole(stranger.get(), SessionFrom(1, "eth9")));
  EXPECT_THAT(RefusedOn(stranger.get()).sentence, HasSubstr("stranger/eth9"));
  EXPECT_FALSE(b_.up());
}

TEST_F(Sessions, TheHigherNodeIdDoesNotCallAndNobodyCallsHimself) {
  a_.table->Found(a_.Sees(b_));
  Fd higher = Dial(a_, Next());
  ASSERT_TRUE(WriteWhole(higher.get(), SessionFrom(2)));
  EXPECT_THAT(RefusedOn(higher.get()).sentence, HasSubstr("has the lower node id"));
  Fd own = Dial(a_, Next());
  ASSERT_TRUE(WriteWhole(own.get(), SessionFrom(1)));
  EXPECT_THAT(RefusedOn(own.get()).sentence, HasSubstr("has the node id of n1"));
  EXPECT_EQ(a_.counters.sessions_refused, 2u);
}

TEST_F(Sessions, AnOldIncarnationDoesNotTakeTheLineOfANewOne) {
  b_.table->Found([&] {
    Adjacent now = b_.Sees(a_);
    now.far_incarnation = 7;
    return now;
  }());
  Fd old = Dial(b_, Next());
  ASSERT_TRUE(WriteWhole(old.get(), SessionFrom(1, "lo", 6)));
  EXPECT_THAT(RefusedOn(old.get()).sentence, HasSubstr("replaced by another"));
}

TEST_F(Sessions, ANewerCallTakesTheLine) {
  Join(a_, b_);
  Fd anew = Dial(b_, Next());
  ASSERT_TRUE(WriteWhole(anew.get(), SessionFrom(1, "lo", 2)));
  ASSERT_TRUE(Eventually([&] { return b_.ups.size() == 2; }));
  EXPECT_EQ(b_.table->sessions().size(), 1u);
  EXPECT_EQ(b_.table->sessions()[0].far_incarnation, 2u);
  ASSERT_EQ(b_.reasons.size(), 1u);
  EXPECT_EQ(b_.reasons[0], "its agent has called anew");
  EXPECT_EQ(b_.counters.sessions_lost, 1u);
}

TEST_F(Sessions, EndWithTheirLinkAtBothEnds) {
  Join(a_, b_);
  b_.table->Lost(b_.Sees(a_), {Loss::Cause::kPort, "the cable is out"});
  ASSERT_EQ(b_.reasons.size(), 1u);
  EXPECT_EQ(b_.reasons[0], "the cable is out");
  EXPECT_EQ(b_.downs[0].id, b_.ups[0].id);
  ASSERT_TRUE(Eventually([&] { return a_.reasons.size() == 1; }));
  EXPECT_THAT(a_.reasons[0], HasSubstr("hung up"));
  // It is found again while a_ has never lost it.
  b_.table->Found(b_.Sees(a_));
  ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up(); }));
}

TEST_F(Sessions, ComeBackWithAnAgentThatWasStartedAnew) {
  Join(a_, b_);
  for (SessionNode* again : {&a_, &b_}) {
    SessionNode& other = again == &a_ ? b_ : a_;
    const size_t downs = other.downs.size();
    again->self.incarnation += 1;
    again->Restart();
    ASSERT_TRUE(Eventually([&] { return other.downs.size() == downs + 1; }));
    Find(a_, b_);
    ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up(); }));
    EXPECT_EQ(other.table->sessions()[0].far_incarnation, again->self.incarnation);
  }
}

TEST_F(Sessions, HelloOfANewIncarnationEndsTheOldOnesSession) {
  Join(a_, b_);
  Adjacent anew = b_.Sees(a_);
  anew.far_incarnation = 2;
  b_.table->Found(anew);
  ASSERT_EQ(b_.reasons.size(), 1u);
  EXPECT_EQ(b_.reasons[0], "its agent was started anew");
}

TEST_F(Sessions, AnAddressThatChangesLeavesALiveSessionAlone) {
  Join(a_, b_);
  Adjacent moved = a_.Sees(b_);
  moved.far_address = Next().WithPort(b_.address.port());
  a_.table->Found(moved);
  EXPECT_TRUE(a_.up());
  EXPECT_TRUE(a_.downs.empty());
}

TEST_F(Sessions, WithoutAnAnswerAreDialledAgain) {
  const SocketAddress there = b_.address;
  Adjacent sees = a_.Sees(b_);
  sees.far_address = Next().WithPort(there.port());  // nobody listens there
  a_.table->Found(sees);
  for (int i = 0; i < 40; ++i) loop_.RunOnce(std::chrono::milliseconds(5));
  EXPECT_FALSE(a_.up());
  b_.table->Found(b_.Sees(a_));
  a_.table->Found(a_.Sees(b_));
  ASSERT_TRUE(Eventually([&] { return a_.up() && b_.up(); }));
}

TEST_F(Sessions, ADroppedSessionEndsSoonAndIsDialledAgain) {
  Join(a_, b_);
  a_.table->Drop(a_.ups[0].id, "it lies");
  EXPECT_TRUE(a_.up()) << "not in the caller's hands";
  ASSERT_TRUE(Eventually([&] { return a_.downs.size() == 1; }));
  EXPECT_EQ(a_.reasons[0], "it lies");
  ASSERT_TRUE(Eventually([&] { return a_.ups.size() == 2 && a_.up() && b_.up(); }));
}

// A neighbour that keeps the line and does what the test wants.
class Puppet : public Sessions {
 protected:
  void SetUp() override {
    b_.table->Found(b_.Sees(a_));
    socket_ = Dial(b_, Next());
    ASSERT_TRUE(WriteWhole(socket_.get(), SessionFrom(1)));
    ASSERT_TRUE(Eventually([&] { return b_.up(); }));
  }
  Fd socket_;
};

TEST_F(Puppet, WhoDoesNotReadIsDroppedInASentence) {
  for (int i = 0; i < 100 && b_.up(); ++i) {
    b_.table->Send(b_.ups[0].id, LargeTable());
    loop_.RunOnce(std::chrono::milliseconds(1));
  }
  ASSERT_TRUE(Eventually([&] { return !b_.downs.empty(); }));
  EXPECT_THAT(b_.reasons[0], HasSubstr("does not read"));
}

TEST_F(Puppet, WhoIsSilentLosesTheSession) {
  b_.self.hop.hop_timeout = std::chrono::milliseconds(200);
  b_.Restart();
  SetUp();
  ASSERT_TRUE(Eventually([&] { return b_.downs.size() == 1; }));
  EXPECT_EQ(b_.reasons[0], "nothing came for 0.2 s");
}

TEST_F(Puppet, WhoSendsNonsenseLosesTheSession) {
  const std::vector<std::vector<std::byte>> nonsense = {
      std::vector<std::byte>(64),
      EncodeSetup(SetupType::kTable, std::vector<std::byte>(3, std::byte{0xff})),
      EncodeSetup(SetupType::kSurvey, std::vector<std::byte>(3)),
      EncodeSetup(SetupType::kFindings, std::vector<std::byte>(3)),
      EncodeSetup(SetupType::kSession, {}),
      EncodeSetup(SetupType::kProve, {}),
      EncodeRefused({1, true, RefusedCode::kLimit, "enough"}),
  };
  size_t ended = 0;
  for (const auto& bytes : nonsense) {
    ASSERT_TRUE(WriteWhole(socket_.get(), bytes));
    ASSERT_TRUE(Eventually([&] { return b_.downs.size() == ended + 1; })) << ended;
    ++ended;
    SetUp();
  }
  EXPECT_EQ(b_.reasons.back(), "it says: enough");
  EXPECT_EQ(b_.counters.setup_refused_bytes, 3u);
}

TEST_F(Puppet, AMessageInSmallPiecesIsTaken) {
  for (std::byte byte : EncodeSetup(SetupType::kTable, fabric::EncodeLinkState(Digest(77)))) {
    ASSERT_TRUE(WriteWhole(socket_.get(), std::span(&byte, 1)));
    loop_.RunOnce(Duration::zero());
  }
  ASSERT_TRUE(Eventually([&] { return b_.heard.size() == 1; }));
  EXPECT_EQ(HashOf(b_.heard[0].second), 77u);
}

TEST_F(Sessions, OthersRunWhileATableComes) {
  Join(a_, b_);
  for (int i = 0; i < 30; ++i) a_.table->Send(a_.ups[0].id, LargeTable());
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    loop_.After(Duration::zero(), tick);  // once in each round of the loop
  };
  tick();
  ASSERT_TRUE(Eventually([&] { return b_.heard.size() == 30; }));
  EXPECT_GT(ticks, 10);
  EXPECT_TRUE(a_.up() && b_.up());
  tick = [] {};
}

TEST_F(Sessions, ASurveyAsksEveryNodeOnceAroundARing) {
  SessionNode c(loop_, 3, Next()), d(loop_, 4, Next());
  Join(a_, b_), Join(b_, c), Join(c, d), Join(a_, d);
  std::vector<std::string> texts;
  bool done = false;
  a_.table->Survey("status", std::chrono::seconds(10), [&](std::vector<Finding> found) {
    for (const Finding& f : found) texts.push_back(f.name + ": " + f.text);
    done = true;
  });
  EXPECT_FALSE(done);
  ASSERT_TRUE(Eventually([&] { return done; }, std::chrono::seconds(5))) << "it waits out its patience";
  ASSERT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts[0], "n1: status at n1");
  EXPECT_THAT(texts,
              UnorderedElementsAre("n1: status at n1", "n2: status at n2", "n3: status at n3", "n4: status at n4"));
}

TEST_F(Sessions, ASurveyWithoutSessionsIsOwnAnswer) {
  std::vector<Finding> found;
  a_.table->Survey("flows", std::chrono::seconds(10), [&](std::vector<Finding> f) { found = std::move(f); });
  ASSERT_TRUE(Eventually([&] { return found.size() == 1; }));
  EXPECT_EQ(found[0].text, "flows at n1");
}

TEST_F(Puppet, ASurveyEndsWithItsPatience) {
  bool done = false;
  b_.table->Survey("flows", std::chrono::milliseconds(100), [&](std::vector<Finding> f) { done = f.size() == 1; });
  ASSERT_TRUE(Eventually([&] { return done; }));
}

}  // namespace
}  // namespace relay::agent
