// What a link state does for its own record, and about others who use its id.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/fabric/link_state_fixture.h"

namespace relay::fabric {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

class OwnRecordTest : public LinkStateTest {};

TEST_F(OwnRecordTest, TheOwnRecordIsRefreshedWithoutTheGraphChanging) {
  LinkState state = Make(1);
  state.Publish(RecordOf(1, {2}), Now());
  state.SessionUp(10, Now());
  sent_.clear();
  const uint64_t version = state.version();
  clock_.Advance(seconds(60));
  state.Tick(Now());
  EXPECT_EQ(Records(), (Pairs{{10, 1}}));
  EXPECT_EQ(state.version(), version);
  ASSERT_TRUE(state.Receive(10, Message(RecordOf(5, {2})), Now()));
  const uint64_t with_five = state.version();
  EXPECT_GT(with_five, version);
  Record refreshed = RecordOf(5, {2});
  refreshed.edition.sequence = 2;
  ASSERT_TRUE(state.Receive(10, Message(refreshed), Now()));
  EXPECT_EQ(state.version(), with_five);
}

TEST_F(OwnRecordTest, ABurstOfChangesIsSmoothedAndItsLastStateLeavesSoon) {
  LinkState state = Make(1);
  state.SessionUp(10, Now());
  sent_.clear();
  for (uint16_t i = 1; i <= 200; ++i) {
    Record record = RecordOf(1, {2});
    record.agent_port = i;
    state.Publish(record, Now());
    EXPECT_EQ(state.Find(1)->agent_port, i) << "the own graph does not wait";
    clock_.Advance(milliseconds(1));
  }
  EXPECT_LE(Records().size(), 25u);
  clock_.Advance(milliseconds(50));
  state.Tick(Now());
  const auto last = Messages<message::Records>();
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(DecodeRecord(last[0].records[0].bytes)->agent_port, 200);
}

TEST_F(OwnRecordTest, ARestartWhoseClockWentBackOutbidsItsEarlierLife) {
  LinkState state = Make(1, 100);
  state.SessionUp(10, Now());
  state.SessionUp(20, Now());
  state.Publish(RecordOf(1, {2}), Now());
  sent_.clear();
  Record earlier = RecordOf(1, {7});
  earlier.edition = {200, 57};
  ASSERT_TRUE(state.Receive(10, Message(earlier), Now()));
  EXPECT_EQ(Records(), (Pairs{{10, 1}, {20, 1}})) << "the new one, and the old one no further";
  EXPECT_EQ(state.Find(1)->edition, (Edition{201, 1}));
  EXPECT_EQ(state.Find(1)->ports[0].name, "p2");
  ASSERT_TRUE(state.Receive(20, Message(earlier), Now()));
  EXPECT_EQ(Records(), (Pairs{{20, 1}})) << "once per event; then as any older record";
  EXPECT_EQ(state.counts().duels, 1u);
  EXPECT_FALSE(state.contested());
}

TEST_F(OwnRecordTest, WhatAnEarlierLifeSaidBeforeTheFirstPublishIsOutbidByIt) {
  LinkState state = Make(1, 100);
  state.SessionUp(10, Now());
  Record earlier = RecordOf(1, {7});
  earlier.edition = {200, 57};
  ASSERT_TRUE(state.Receive(10, Message(earlier), Now()));
  EXPECT_EQ(state.Find(1), nullptr);
  EXPECT_THAT(state.Records(), IsEmpty());
  state.Publish(RecordOf(1, {2}), Now());
  EXPECT_EQ(state.Find(1)->edition, (Edition{201, 1}));
}

TEST_F(OwnRecordTest, WhateverIsSaidUnderItsIdItsOwnRecordStaysOneThatDecodersTake) {
  LinkState state = Make(1, UINT64_MAX);
  state.SessionUp(10, Now());
  state.Publish(RecordOf(1, {2}), Now());
  for (const Edition edition : {Edition{kMaxEdition, 5}, Edition{kMaxEdition, kMaxEdition}}) {
    Record other = RecordOf(1, {7});
    other.edition = edition;
    sent_.clear();
    ASSERT_TRUE(state.Receive(10, Message(other), Now()));
    EXPECT_EQ(Records(), (Pairs{{10, 1}})) << "or decoding it here would have failed";
  }
}

TEST_F(OwnRecordTest, AgainstACloneItGoesQuietAndSaysSo) {
  LinkState state = Make(1, 100);
  state.SessionUp(10, Now());
  state.SessionUp(20, Now());
  state.Publish(RecordOf(1, {2}), Now());
  Record clone = RecordOf(1, {7});
  for (int i = 0; i < 100; ++i) {
    clone.edition = {state.Find(1)->edition.incarnation + 1, 1};
    ASSERT_TRUE(state.Receive(10, Message(clone), Now()));
    clock_.Advance(milliseconds(10));
  }
  EXPECT_TRUE(state.contested());
  EXPECT_LE(state.Find(1)->edition.incarnation, 110u);
  EXPECT_EQ(state.Find(1)->ports[0].name, "p2") << "its own links are as it knows them";
  sent_.clear();
  clone.edition = {1000, 1};
  ASSERT_TRUE(state.Receive(10, Message(clone), Now()));
  EXPECT_EQ(Records(), (Pairs{{20, 1}})) << "the other's is passed on like anybody's";
  for (int i = 0; i < 13; ++i) {
    clock_.Advance(seconds(10));
    state.Tick(Now());
  }
  EXPECT_FALSE(state.contested()) << "the other is gone";
  EXPECT_EQ(state.Find(1)->edition.incarnation, 1001u);
}

TEST_F(OwnRecordTest, OfTwoThatDifferUnderOneEditionEverybodyKeepsTheSame) {
  const Record one = RecordOf(5, {2}), other = RecordOf(5, {3});
  std::vector<std::string> kept;
  for (bool swapped : {false, true}) {
    LinkState state = Make(1);
    state.SessionUp(10, Now());
    ASSERT_TRUE(state.Receive(10, Message(swapped ? other : one), Now()));
    ASSERT_TRUE(state.Receive(10, Message(swapped ? one : other), Now()));
    kept.push_back(state.Find(5)->ports[0].name);
  }
  EXPECT_EQ(kept[0], kept[1]);
}

}  // namespace
}  // namespace relay::fabric
