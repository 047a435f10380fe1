#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/fabric/link_state_fixture.h"

namespace relay::fabric {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(LinkStateTest, AChangeLeavesAtOnceOnEverySessionAndNothingElseDoes) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  state.SessionUp(20, Now());
  sent_.clear();
  state.Publish(RecordOf(1, {2}), Now());
  EXPECT_EQ(Records(), (Pairs{{10, 1}, {20, 1}}));
  state.Publish(RecordOf(1, {2}), Now());
  EXPECT_THAT(sent_, IsEmpty()) << "nothing has changed";
  state.SessionDown(10);
  state.Publish(RecordOf(1, {2, 3}), Now());
  EXPECT_EQ(Records(), (Pairs{{20, 1}}));
  EXPECT_EQ(state.Find(1)->edition, (Edition{1, 2}));
  EXPECT_EQ(state.counts().records_sent, 3u);
}

TEST_F(LinkStateTest, NewsGoToAllButTheirBringerOnce) {
  LinkState state = Make(1);
  for (SessionId session : {10, 20, 30}) state.SessionUp(session, Now());
  sent_.clear();
  ASSERT_TRUE(state.Receive(10, Message(RecordOf(5, {2})), Now()));
  EXPECT_EQ(Records(), (Pairs{{20, 5}, {30, 5}}));
  ASSERT_TRUE(state.Receive(20, Message(RecordOf(5, {2})), Now()));
  EXPECT_THAT(sent_, IsEmpty());
  EXPECT_EQ(state.counts().records_new, 1u);
  EXPECT_EQ(state.counts().records_old, 1u);
  EXPECT_EQ(state.Find(5)->name, "host5");
}

TEST_F(LinkStateTest, WhoBringsAnOlderRecordGetsTheNewer) {
  LinkState state = Make(1);
  for (SessionId session : {10, 20}) state.SessionUp(session, Now());
  ASSERT_TRUE(state.Receive(10, Message(Later(RecordOf(5, {2}), 7)), Now()));
  sent_.clear();
  ASSERT_TRUE(state.Receive(20, Message(Later(RecordOf(5, {2}), 6)), Now()));
  EXPECT_EQ(Records(), (Pairs{{20, 5}}));
  EXPECT_EQ(state.Find(5)->edition.sequence, 7u);
}

TEST_F(LinkStateTest, ANewIncarnationReplacesWhateverTheOldOneSaid) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  ASSERT_TRUE(state.Receive(10, Message(Later(RecordOf(5, {2}), 70)), Now()));
  Record reborn = RecordOf(5, {3});
  reborn.edition = {2, 1};
  ASSERT_TRUE(state.Receive(10, Message(reborn), Now()));
  EXPECT_EQ(state.Find(5)->edition, (Edition{2, 1}));
  EXPECT_EQ(state.size(), 1u);
}

TEST_F(LinkStateTest, ARecordWithoutProofIsCountedAndNotBelieved) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  message::Records forged{{Sealed(RecordOf(4, {2})), Sealed(RecordOf(5, {2})), Sealed(RecordOf(6, {2}))}};
  forged.records[1].mac[31] ^= std::byte{1};
  const Status status = state.Receive(10, forged, Now());
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().what, HasSubstr("without proof"));
  EXPECT_EQ(state.counts().forged, 1u);
  EXPECT_NE(state.Find(4), nullptr);
  EXPECT_EQ(state.Find(5), nullptr);
  EXPECT_EQ(state.Find(6), nullptr) << "what comes after it is not looked at";
}

TEST_F(LinkStateTest, ARecordOutOfBoundsIsAnErrorThoughItsProofIsGood) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  Record record = RecordOf(5, {2});
  record.neighbours[0].port = 9;
  const Status status = state.Receive(10, Message(record), Now());
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().what, HasSubstr("a port that it has not"));
  EXPECT_EQ(state.size(), 0u);
}

TEST_F(LinkStateTest, OnlySessionsThatAreUpAreHeard) {
  LinkState state = Make(1);
  EXPECT_TRUE(state.Receive(10, Message(RecordOf(5, {2})), Now()));
  EXPECT_EQ(state.size(), 0u);
}

TEST_F(LinkStateTest, DigestsComeAtOnceWithASessionAndThenNowAndThen) {
  LinkState state = Make(1);
  state.Publish(RecordOf(1, {2}), Now());
  state.SessionUp(10, Now());
  EXPECT_EQ(Messages<message::Digest>().at(0).hash, state.digest());
  EXPECT_EQ(state.Tick(Now()), Now() + seconds(5));
  EXPECT_THAT(sent_, IsEmpty());
  clock_.Advance(seconds(5));
  state.Tick(Now());
  EXPECT_EQ(Messages<message::Digest>().size(), 1u);
}

TEST_F(LinkStateTest, ADigestThatDiffersIsAnsweredWithOneSummary) {
  LinkState state = Make(1);
  state.Publish(RecordOf(1, {2}), Now());
  state.SessionUp(10, Now());
  sent_.clear();
  ASSERT_TRUE(state.Receive(10, message::Digest{state.digest()}, Now()));
  EXPECT_THAT(sent_, IsEmpty());
  ASSERT_TRUE(state.Receive(10, message::Digest{1}, Now()));
  ASSERT_TRUE(state.Receive(10, message::Digest{2}, Now()));
  const auto summaries = Messages<message::Summary>();
  ASSERT_EQ(summaries.size(), 1u);
  EXPECT_FALSE(summaries[0].answer);
  ASSERT_EQ(summaries[0].held.size(), 1u);
  EXPECT_EQ(summaries[0].held[0].edition, (Edition{1, 1}));
}

TEST_F(LinkStateTest, WhereBothAskedNeitherAnswersWithAnotherSummary) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  ASSERT_TRUE(state.Receive(10, message::Digest{1}, Now()));
  sent_.clear();
  const message::Summary theirs{{{5, {1, 1}}}, false};
  ASSERT_TRUE(state.Receive(10, theirs, Now()));
  EXPECT_THAT(sent_, IsEmpty()) << "the other has this node's summary already";
  clock_.Advance(seconds(5));
  ASSERT_TRUE(state.Receive(10, theirs, Now()));
  EXPECT_EQ(Messages<message::Summary>().size(), 1u) << "unless that was long ago, and may be lost";
}

TEST_F(LinkStateTest, ASummaryBringsWhatItsSenderLacksAndAsksForWhatItHas) {
  LinkState state = Make(4);
  state.SessionUp(10, Now());
  for (NodeId node : {2, 3, 5, 7}) ASSERT_TRUE(state.Receive(10, Message(Later(RecordOf(node, {1}), 5)), Now()));
  sent_.clear();
  const message::Summary theirs{{{2, {1, 5}}, {3, {1, 4}}, {5, {1, 6}}}, false};
  ASSERT_TRUE(state.Receive(10, theirs, Now()));
  const auto answers = sent_;
  EXPECT_EQ(Records(), (Pairs{{10, 3}, {10, 7}}));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(std::get<message::Summary>(answers[1].message).answer);
  message::Summary answer = theirs;
  answer.answer = true;
  ASSERT_TRUE(state.Receive(10, answer, Now()));
  EXPECT_THAT(Messages<message::Summary>(), IsEmpty()) << "an answer is not answered";
}

TEST_F(LinkStateTest, ARecordThatIsNotRefreshedAgesOutWhereverItCameFrom) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  ASSERT_TRUE(state.Receive(10, Message(RecordOf(5, {2})), Now()));
  ASSERT_TRUE(state.Receive(10, Message(RecordOf(6, {2}), 200'000), Now()));
  const uint64_t version = state.version();
  clock_.Advance(seconds(100));
  state.Tick(Now());
  EXPECT_EQ(state.Find(6), nullptr) << "200 s old when it came";
  EXPECT_NE(state.Find(5), nullptr);
  EXPECT_GT(state.version(), version);
  ASSERT_TRUE(state.Receive(10, Message(Later(RecordOf(5, {2}), 2)), Now()));
  clock_.Advance(seconds(299));
  state.Tick(Now());
  EXPECT_NE(state.Find(5), nullptr) << "it was refreshed";
  clock_.Advance(seconds(1));
  state.Tick(Now());
  EXPECT_EQ(state.size(), 0u);
  EXPECT_EQ(state.digest(), 0u);
  EXPECT_EQ(state.counts().aged_out, 2u);
  ASSERT_TRUE(state.Receive(10, Message(RecordOf(7, {2}), 300'000), Now()));
  EXPECT_EQ(state.size(), 0u) << "too old to be taken at all";
}

TEST_F(LinkStateTest, RecordsArePassedOnWithTheirAge) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  ASSERT_TRUE(state.Receive(10, Message(RecordOf(5, {2}), 1000), Now()));
  clock_.Advance(seconds(3));
  state.SessionUp(20, Now());
  sent_.clear();
  ASSERT_TRUE(state.Receive(20, message::Summary{}, Now()));
  EXPECT_EQ(Messages<message::Records>().at(0).records.at(0).age_ms, 4000u);
}

TEST_F(LinkStateTest, TheTableIsBoundedInNodesAndBytes) {
  LinkStateOptions options;
  options.self = 1;
  options.most_nodes = 3;
  options.most_bytes = 1500;
  LinkState::Hooks hooks;
  hooks.send = [](SessionId, const LinkStateMessage&) {};
  LinkState state(options, hooks);
  state.SessionUp(10, Now());
  state.Publish(RecordOf(1, {2}), Now());
  for (NodeId node = 2; node <= 9; ++node) ASSERT_TRUE(state.Receive(10, Message(RecordOf(node, {1})), Now()));
  EXPECT_EQ(state.size(), 3u);
  EXPECT_EQ(state.counts().no_room, 6u);
  ASSERT_TRUE(state.Receive(10, Message(Later(RecordOf(2, {1}), 2)), Now()));
  EXPECT_EQ(state.Find(2)->edition.sequence, 2u) << "who is in may change";
  std::vector<NodeId> many;
  for (NodeId peer = 10; peer < 60; ++peer) many.push_back(peer);
  ASSERT_TRUE(state.Receive(10, Message(Later(RecordOf(3, many), 2)), Now()));
  EXPECT_EQ(state.Find(3)->edition.sequence, 1u) << "but not grow beyond all bounds";
}

TEST_F(LinkStateTest, MessagesStayBelowTheirLimit) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  std::vector<NodeId> peers;
  for (NodeId peer = 100; peer < 160; ++peer) peers.push_back(peer);
  for (NodeId node = 2; node < 90; ++node) {
    Record record = RecordOf(node, peers);
    for (int i = 0; i < 900; ++i) record.neighbours.push_back(record.neighbours[0]);
    ASSERT_TRUE(state.Receive(10, Message(record), Now()));
  }
  state.SessionUp(20, Now());
  sent_.clear();
  ASSERT_TRUE(state.Receive(20, message::Summary{}, Now()));
  size_t records = 0, messages = 0;
  for (const auto& message : Messages<message::Records>()) {
    EXPECT_LE(EncodeLinkState(message).size(), kMaxLinkStateBytes);
    records += message.records.size();
    ++messages;
  }
  EXPECT_EQ(records, 88u);
  EXPECT_GT(messages, 1u);
}

TEST_F(LinkStateTest, ASessionMayGoDownWhileItIsSpokenTo) {
  LinkStateOptions options;
  options.self = 1;
  LinkState* self = nullptr;
  int sent = 0;
  LinkState::Hooks hooks;
  hooks.send = [&](SessionId, const LinkStateMessage&) {
    ++sent;
    for (SessionId session : {10, 20, 30}) self->SessionDown(session);
  };
  LinkState state(options, hooks);
  self = &state;
  for (SessionId session : {10, 20, 30}) state.SessionUp(session, Now());
  EXPECT_EQ(std::exchange(sent, 0), 3);
  for (SessionId session : {10, 20, 30}) state.SessionUp(session, Now());
  state.Publish(RecordOf(1, {2}), Now());
  EXPECT_EQ(sent, 3) << "each was told its digest and was gone";
  EXPECT_EQ(state.Tick(Now()), Now() + seconds(5));
}

}  // namespace
}  // namespace relay::fabric
