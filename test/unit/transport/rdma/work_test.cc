#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <cstring>
#include <set>

#include "fake/verbs/line.h"

namespace relay::transport::rdma {
namespace {

using fake::ChannelReadable;
using fake::FakeVerbs;
using fake::Line;
using fake::PollAll;
using fake::PollError;
using testing::HasSubstr;

TEST(RdmaWork, AWriteArrivesAndIsReportedOnce) {
  Line line;
  line.Write(1000, 42);
  EXPECT_EQ(line.fake.traffic().writes, 0u) << "queued, not rung";
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_TRUE(line.Same(1000));
  EXPECT_NE(line.near.bytes[1001], line.far.bytes[1001]);
  const auto done = PollAll(*line.a.pair);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].id, 42u);
  EXPECT_EQ(done[0].work, Work::kWrite);
  EXPECT_TRUE(PollAll(*line.a.pair).empty());
  EXPECT_TRUE(PollAll(*line.b.pair).empty());
}

TEST(RdmaWork, PiecesAreGatheredAndScattered) {
  Line line;
  const Piece to[] = {line.far.piece(0, 10), line.far.piece(100, 50)};
  line.b.pair->Receive(to, 7);
  ASSERT_TRUE(line.b.pair->Ring());
  const Piece from[] = {line.near.piece(0, 16), line.near.piece(16, 24)};
  line.a.pair->Send(from, 8, {.immediate = 0xfeed0001});
  ASSERT_TRUE(line.a.pair->Ring());
  const auto got = PollAll(*line.b.pair), sent = PollAll(*line.a.pair);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].id, 7u);
  EXPECT_EQ(got[0].work, Work::kReceive);
  EXPECT_EQ(got[0].bytes, 40u);
  EXPECT_EQ(got[0].immediate, 0xfeed0001u);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].work, Work::kSend);
  EXPECT_FALSE(sent[0].immediate);
  EXPECT_EQ(0, memcmp(line.far.bytes.data(), line.near.bytes.data(), 10));
  EXPECT_EQ(0, memcmp(line.far.bytes.data() + 100, line.near.bytes.data() + 10, 30));
}

TEST(RdmaWork, AWriteWithAnImmediateTakesAReceiveAndTellsItsSize) {
  Line line;
  line.b.pair->Receive({}, 1);
  line.b.pair->Receive({}, 2);
  ASSERT_TRUE(line.b.pair->Ring());
  line.Write(300, 9, {.immediate = 5});
  const Piece nothing{};
  line.a.pair->Write({&nothing, 1}, {}, 10, {.immediate = 6});
  ASSERT_TRUE(line.a.pair->Ring());
  const auto got = PollAll(*line.b.pair);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].id, 1u);
  EXPECT_EQ(got[0].bytes, 300u);
  EXPECT_EQ(got[0].immediate, 5u);
  EXPECT_EQ(got[1].id, 2u);
  EXPECT_EQ(got[1].bytes, 0u);
  EXPECT_EQ(got[1].immediate, 6u);
  EXPECT_TRUE(line.Same(300));
}

TEST(RdmaWork, ReceivesThatAreToldOutOfOrderAreAnError) {
  Line line;
  for (const uint64_t id : {1, 2}) line.b.pair->Receive({}, id);
  ASSERT_TRUE(line.b.pair->Ring());
  for (const uint64_t id : {1, 2}) line.Write(8, id, {.immediate = 5});
  ASSERT_TRUE(line.a.pair->Ring());
  line.fake.SetOnPoll([](std::span<ibv_wc> room, int count) {
    std::reverse(room.begin(), room.begin() + count);
    return count;
  });
  EXPECT_THAT(PollError(*line.b.pair).what, HasSubstr("out of order"));
}

TEST(RdmaWork, AReadFetches) {
  Line line;
  line.far.bytes[77] = std::byte{0x5a};
  line.a.pair->Read(line.near.piece(0, 1), line.far.remote(77), 3);
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_EQ(line.near.bytes[0], std::byte{0x5a});
  const auto done = PollAll(*line.a.pair);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].work, Work::kRead);
}

TEST(RdmaWork, InlinedBytesNeedNoKeyAndAreFreeAfterTheRing) {
  Line line(FakeVerbs::Pump::kManual);
  std::array<std::byte, 32> news;
  news.fill(std::byte{9});
  const Piece piece{news.data(), 32, 0};
  line.a.pair->Write({&piece, 1}, line.far.remote(), 1, {.inlined = true});
  ASSERT_TRUE(line.a.pair->Ring());
  news.fill(std::byte{0});
  line.fake.StepUntilIdle();
  EXPECT_EQ(line.far.bytes[31], std::byte{9});
  EXPECT_EQ(PollAll(*line.a.pair).size(), 1u);
}

TEST(RdmaWork, WhatIsTooLargeToInlineGoesByItsKey) {
  Line line(FakeVerbs::Pump::kPerPost, {.inline_bytes = 16});
  EXPECT_EQ(line.a.pair->inline_bytes(), 16u);
  line.Write(17, 1, {.inlined = true});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_TRUE(line.Same(17));
}

TEST(RdmaWork, ADeviceThatInlinesNothingServesToo) {
  FakeVerbs fake;
  fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1")}, .inline_bytes = 0});
  auto end = fake::OpenEnd(fake, "a0");
  ASSERT_TRUE(end.pair);
  EXPECT_EQ(end.pair->inline_bytes(), 0u);
}

TEST(RdmaWork, OneRingIsOneDoorbellOfEachKind) {
  Line line;
  for (uint64_t i = 0; i < 3; ++i) line.b.pair->Receive({}, i);
  ASSERT_TRUE(line.b.pair->Ring());
  for (uint64_t i = 0; i < 3; ++i) line.Write(8, i, {.signaled = i == 2, .immediate = 1});
  ASSERT_TRUE(line.a.pair->Ring());
  ASSERT_TRUE(line.a.pair->Ring()) << "nothing is queued: no doorbell";
  EXPECT_EQ(PollAll(*line.a.pair).size(), 1u);
  EXPECT_EQ(line.fake.traffic().send_chains, 1u);
  EXPECT_EQ(line.fake.traffic().receive_chains, 1u);
  const WorkCounts &a = line.a.pair->counts(), &b = line.b.pair->counts();
  EXPECT_EQ(a.posted_sends, 3u);
  EXPECT_EQ(a.doorbells, 1u);
  EXPECT_EQ(a.receive_doorbells, 0u);
  EXPECT_EQ(a.completions, 1u);
  EXPECT_EQ(b.posted_receives, 3u);
  EXPECT_EQ(b.receive_doorbells, 1u);
}

TEST(RdmaWork, ReceivesOfARingAreThereBeforeItsSends) {
  Line line;
  // b answers with what it receives only if its receive is posted when the write of the same ring triggers the answer;
  // here both ends ring both, and nobody finds the other without a receive.
  line.b.pair->Receive({}, 1);
  ASSERT_TRUE(line.b.pair->Ring());
  line.Write(1, 1, {.immediate = 1});
  line.a.pair->Receive({}, 2);
  ASSERT_TRUE(line.a.pair->Ring());
  line.b.pair->Send({}, 3, {});
  ASSERT_TRUE(line.b.pair->Ring());
  EXPECT_EQ(PollAll(*line.a.pair).size(), 2u);
  EXPECT_EQ(line.fake.traffic().receiver_not_ready, 0u);
}

TEST(RdmaWork, UnsignaledWorkTakesItsPlaceUntilALaterCompletionIsPolled) {
  Line line(FakeVerbs::Pump::kPerPost, {.sends = 4});
  for (uint64_t i = 0; i < 3; ++i) line.Write(8, i, {.signaled = false});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_TRUE(line.a.pair->HasRoom(1));
  EXPECT_FALSE(line.a.pair->HasRoom(2));
  line.Write(8, 3);
  EXPECT_FALSE(line.a.pair->HasRoom(1)) << "queued counts";
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_FALSE(line.a.pair->HasRoom(1)) << "done but not polled";
  EXPECT_EQ(PollAll(*line.a.pair).size(), 1u);
  EXPECT_TRUE(line.a.pair->HasRoom(4));
}

TEST(RdmaWork, ThousandsOfWorkRequestsGoThroughAFewPlaces) {
  Line line(FakeVerbs::Pump::kManual, {.sends = 5, .receives = 3});
  uint64_t sent = 0, done = 0, received = 0, posted = 0;
  while (received < 2000) {
    while (line.b.pair->HasReceiveRoom(1) && posted < 2000) line.b.pair->Receive({}, posted++);
    ASSERT_TRUE(line.b.pair->Ring());
    while (line.a.pair->HasRoom(1) && sent < posted) {
      line.Write(8, sent, {.signaled = sent % 2 == 1, .immediate = static_cast<uint32_t>(sent)});
      ++sent;
    }
    ASSERT_TRUE(line.a.pair->Ring());
    line.fake.StepUntilIdle();
    for (const Completion& c : PollAll(*line.b.pair)) {
      ASSERT_EQ(c.id, received);
      ASSERT_EQ(c.immediate, static_cast<uint32_t>(received));
      ++received;
    }
    for (const Completion& c : PollAll(*line.a.pair)) {
      ASSERT_EQ(c.id, done + 1);
      done += 2;
    }
  }
  EXPECT_EQ(line.fake.traffic().receiver_not_ready, 0u);
}

TEST(RdmaWork, MoreWorkThanRoomIsAnErrorAndHarmsNothing) {
  Line line(FakeVerbs::Pump::kPerPost, {.sends = 2, .receives = 1});
  for (uint64_t i = 0; i < 3; ++i) line.Write(8, i);
  const auto rung = line.a.pair->Ring();
  ASSERT_FALSE(rung);
  EXPECT_EQ(rung.error().code, ErrorCode::kInternal);
  line.b.pair->Receive({}, 1);
  line.b.pair->Receive({}, 2);
  EXPECT_FALSE(line.b.pair->Ring());
}

TEST(RdmaWork, PollFillsNoMoreThanThereIsSpaceFor) {
  Line line;
  for (uint64_t i = 0; i < 40; ++i) line.Write(1, i);
  ASSERT_TRUE(line.a.pair->Ring());
  std::array<Completion, 7> few;
  uint64_t next = 0;
  for (size_t expected : {7, 7, 7, 7, 7, 5, 0}) {
    const auto count = line.a.pair->Poll(few);
    ASSERT_TRUE(count);
    EXPECT_EQ(*count, expected);
    for (size_t i = 0; i < *count; ++i) EXPECT_EQ(few[i].id, next++);
  }
  EXPECT_EQ(*line.a.pair->Poll({}), 0u);
}

// --- The completion channel

TEST(RdmaWork, ArmedItWakesOnceForTheNextCompletion) {
  Line line;
  EXPECT_TRUE(fcntl(line.a.pair->event_fd(), F_GETFL) & O_NONBLOCK);
  line.Write(1, 1);
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_FALSE(ChannelReadable(*line.a.pair)) << "not armed";
  ASSERT_TRUE(line.a.pair->Arm());
  EXPECT_FALSE(ChannelReadable(*line.a.pair)) << "what came before is polled, not told";
  EXPECT_EQ(PollAll(*line.a.pair).size(), 1u);
  line.Write(1, 2);
  line.Write(1, 3);
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_TRUE(ChannelReadable(*line.a.pair));
  line.a.pair->TakeEvents();
  EXPECT_FALSE(ChannelReadable(*line.a.pair));
  EXPECT_EQ(line.a.pair->counts().events, 1u);
  EXPECT_EQ(PollAll(*line.a.pair).size(), 2u);
}

TEST(RdmaWork, ArmedForSolicitedWorkItSleepsThroughTheRest) {
  Line line;
  for (uint64_t i = 0; i < 2; ++i) line.b.pair->Receive({}, i);
  ASSERT_TRUE(line.b.pair->Ring());
  ASSERT_TRUE(line.b.pair->Arm(true));
  line.Write(1, 1, {.immediate = 1});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_FALSE(ChannelReadable(*line.b.pair));
  line.Write(1, 2, {.solicited = true, .immediate = 2});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_TRUE(ChannelReadable(*line.b.pair));
  line.b.pair->TakeEvents();
}

TEST(RdmaWork, AnErrorWakesToo) {
  Line line;
  ASSERT_TRUE(line.b.pair->Arm(true));
  line.b.pair->Receive({}, 1);
  ASSERT_TRUE(line.b.pair->Ring());
  line.fake.FailNow(line.b.number(), IBV_WC_LOC_PROT_ERR);
  EXPECT_TRUE(ChannelReadable(*line.b.pair));
  line.b.pair->TakeEvents();
}

// --- Bad completions

struct StatusCase {
  ibv_wc_status status;
  ErrorCode code;
  const char* part;
};

TEST(RdmaWork, EveryBadStatusIsAnErrorWithTheRightCodeAndASentence) {
  const StatusCase cases[] = {
      {IBV_WC_LOC_LEN_ERR, ErrorCode::kSystem, "larger than its buffer"},
      {IBV_WC_LOC_QP_OP_ERR, ErrorCode::kSystem, "whether its port is up"},
      {IBV_WC_LOC_PROT_ERR, ErrorCode::kSystem, "not registered"},
      {IBV_WC_WR_FLUSH_ERR, ErrorCode::kRemote, "had failed before"},
      {IBV_WC_LOC_ACCESS_ERR, ErrorCode::kSystem, "may not be written"},
      {IBV_WC_BAD_RESP_ERR, ErrorCode::kRemote, "error counters"},
      {IBV_WC_REM_INV_REQ_ERR, ErrorCode::kRemote, "of one build"},
      {IBV_WC_REM_ACCESS_ERR, ErrorCode::kRemote, "does not allow this"},
      {IBV_WC_REM_OP_ERR, ErrorCode::kRemote, "kernel's log there"},
      {IBV_WC_RETRY_EXC_ERR, ErrorCode::kRemote, "no answer for about 10 s: look at the cable"},
      {IBV_WC_RNR_RETRY_EXC_ERR, ErrorCode::kRemote, "had no receive posted"},
      {IBV_WC_REM_INV_RD_REQ_ERR, ErrorCode::kRemote, "such a read"},
      {IBV_WC_REM_ABORT_ERR, ErrorCode::kRemote, "gave up"},
      {IBV_WC_RESP_TIMEOUT_ERR, ErrorCode::kRemote, "in time"},
      {IBV_WC_FATAL_ERR, ErrorCode::kSystem, "kernel's log"},
      {IBV_WC_GENERAL_ERR, ErrorCode::kSystem, "kernel's log"},
      {IBV_WC_LOC_EEC_OP_ERR, ErrorCode::kSystem, "kernel's log"},
  };
  for (const auto& [status, code, part] : cases) {
    for (const bool receive : {false, true}) {
      Line line;
      if (receive) {
        line.a.pair->Receive({}, 1);
        ASSERT_TRUE(line.a.pair->Ring());
        EXPECT_TRUE(line.fake.FailNow(line.a.number(), status));
      } else {
        line.fake.FailNext(line.a.number(), status);
        line.Write(8, 1);
        ASSERT_TRUE(line.a.pair->Ring());
      }
      const Error error = PollError(*line.a.pair);
      EXPECT_EQ(error.code, code) << status;
      EXPECT_FALSE(error.told);
      char number[16];
      snprintf(number, sizeof number, "0x%x", line.b.number());
      const std::string begin =
          std::string("RDMA from a0 port 1 to queue pair ") + number + " of 10.0.0.2 (RoCE v2) failed: ";
      EXPECT_THAT(error.what, testing::StartsWith(begin + line.fake.table().wc_status_str(status)));
      EXPECT_THAT(error.what, HasSubstr("vendor 0x81"));
      EXPECT_THAT(error.what, HasSubstr(part));
    }
  }
}

TEST(RdmaWork, TheGoodCompletionsBeforeABadOneAreGivenAndTheErrorStays) {
  Line line(FakeVerbs::Pump::kManual);
  line.Write(8, 1);
  line.Write(8, 2);
  line.Write(8, 3);
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_TRUE(line.fake.StepPair(line.a.number()));
  line.fake.FailNext(line.a.number(), IBV_WC_RETRY_EXC_ERR);
  EXPECT_TRUE(line.fake.StepPair(line.a.number()));
  EXPECT_EQ(PollAll(*line.a.pair).size(), 1u);
  EXPECT_FALSE(PollError(*line.a.pair).told);
  EXPECT_TRUE(PollError(*line.a.pair).told);
  line.Write(8, 4);
  const auto rung = line.a.pair->Ring();
  ASSERT_FALSE(rung);
  EXPECT_THAT(rung.error().what, HasSubstr("transport retry counter exceeded"));
  EXPECT_EQ(line.fake.traffic().send_chains, 1u) << "nothing is posted to a queue pair that has failed";
}

TEST(RdmaWork, AFlushNamesTheEventThatWasBeforeIt) {
  Line line;
  line.fake.SetPort({"a0"}, false);
  line.a.device->TakeEvents();
  line.fake.FailNext(line.a.number(), IBV_WC_WR_FLUSH_ERR);
  line.Write(8, 1);
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("(port 1 of a0 went down"));
}

TEST(RdmaWork, CompletionsOfWorkThatWasNeverGivenAreRefused) {
  Line line;
  line.Write(8, 1, {.signaled = false});
  ASSERT_TRUE(line.a.pair->Ring());
  // A device that completes the same work request twice, or one that is not there.
  ibv_context* context = line.a.device->context();
  context->ops.poll_cq = [](ibv_cq*, int, ibv_wc* out) {
    *out = {};
    out->wr_id = 5;
    return 1;
  };
  const Error error = PollError(*line.a.pair);
  EXPECT_EQ(error.code, ErrorCode::kSystem);
  EXPECT_THAT(error.what, HasSubstr("was not given"));
}

TEST(RdmaWork, ABrokenCompletionQueueIsAnError) {
  Line line;
  line.fake.FailCall("poll_cq", EIO);
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("cannot be read"));
}

TEST(RdmaWork, RefusedPostsAreErrors) {
  for (const char* name : {"post_send", "post_recv"}) {
    Line line;
    line.fake.FailCall(name, ENOMEM);
    line.a.pair->Receive({}, 1);
    line.Write(8, 1);
    const auto rung = line.a.pair->Ring();
    ASSERT_FALSE(rung) << name;
    EXPECT_EQ(rung.error().sys_errno, ENOMEM);
    EXPECT_FALSE(line.a.pair->Ring()) << "it stays";
  }
  Line line;
  line.fake.FailCall("req_notify_cq", EIO);
  EXPECT_FALSE(line.a.pair->Arm());
}

}  // namespace
}  // namespace relay::transport::rdma
