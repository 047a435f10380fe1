// What a session is made of, without a socket: messages, sealed frames, surveys; and the rate of log lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>

#include "agent/common/rate_limited_log.h"
#include "agent/session/frame.h"
#include "agent/session/survey.h"
#include "base/log.h"
#include "fake/manual_clock.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;

std::shared_ptr<const Key> Secret(char letter = 's') {
  const std::string text(32, letter);
  return Key::FromBytes(std::as_bytes(std::span(text)));
}

std::vector<std::byte> Text(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(SessionMessages, WhatIsEncodedIsDecodedAndNothingShorterOrLonger) {
  const auto session = EncodeBody(SessionMessage{7, "spark", 9, "0.1.0", "ab", "ba", 21517});
  const auto survey = EncodeBody(SurveyMessage{7, 8, 1000, "status"});
  const auto finding = EncodeBody(FindingsMessage{7, 8, false, {9, "spark", "{}"}});
  const auto last = EncodeBody(FindingsMessage{7, 8, true, {}});
  EXPECT_EQ(EncodeBody(DecodeSession(session).value()), session);
  EXPECT_EQ(EncodeBody(DecodeSurvey(survey).value()), survey);
  EXPECT_EQ(EncodeBody(DecodeFindings(finding).value()), finding);
  EXPECT_TRUE(DecodeFindings(last).value().last);
  for (size_t n = 0; n < session.size(); ++n) EXPECT_FALSE(DecodeSession(std::span(session).first(n))) << n;
  for (size_t n = 0; n < survey.size(); ++n) EXPECT_FALSE(DecodeSurvey(std::span(survey).first(n))) << n;
  for (size_t n = 0; n < finding.size(); ++n) EXPECT_FALSE(DecodeFindings(std::span(finding).first(n))) << n;
  for (auto bytes : {session, survey, finding, last}) {
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(DecodeSession(bytes));
    EXPECT_FALSE(DecodeSurvey(bytes));
    EXPECT_FALSE(DecodeFindings(bytes));
  }
}

TEST(SessionMessages, BoundsAreHeld) {
  const SessionMessage good{7, "spark", 9, "0.1.0", "ab", "ba", 21517};
  auto decoded = [&](auto change) {
    SessionMessage m = good;
    change(m);
    return DecodeSession(EncodeBody(m)).has_value();
  };
  EXPECT_TRUE(decoded([](SessionMessage& m) { m.name = std::string(kMaxNameBytes + 9, 'x'); })) << "cut";
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.near_port = std::string(kMaxNameBytes + 1, 'x'); }));
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.far_port = std::string(kMaxNameBytes + 1, 'x'); }));
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.name = "two\nlines"; }));
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.agent_port = 0; }));
  EXPECT_FALSE(DecodeSurvey(EncodeBody(SurveyMessage{1, 2, 60'001, "status"})));
  EXPECT_FALSE(DecodeSurvey(EncodeBody(SurveyMessage{1, 2, 3, std::string(kMaxQuestionBytes + 1, 'q')})));
  const auto longest = EncodeBody(FindingsMessage{1, 2, false, {3, "n", std::string(kMaxFindingBytes + 5, 't')}});
  EXPECT_LE(longest.size(), MaxBody(SetupType::kFindings));
  EXPECT_EQ(DecodeFindings(longest).value().finding.text.size(), kMaxFindingBytes);
  EXPECT_LE(EncodeBody(SessionMessage{1, std::string(64, 'n'), 2, std::string(64, 'b'), std::string(64, 'p'),
                                      std::string(64, 'q'), 1})
                .size(),
            MaxBody(SetupType::kSession));
}

class Frames : public testing::TestWithParam<bool> {
 protected:
  std::shared_ptr<const Key> secret_ = GetParam() ? Secret() : nullptr;
  FrameWriter writer_{secret_, Side::kDialler};
  FrameReader reader_{secret_, Side::kDialler};
};

TEST_P(Frames, ComeOutAsTheyWentInHoweverTheBytesAreCut) {
  std::mt19937 random(5);
  std::vector<std::byte> stream;
  std::vector<Frame> sent;
  for (size_t i = 0; i < 200; ++i) {
    Frame f{i % 3 == 0 ? SetupType::kTable : SetupType::kPing,
            std::vector<std::byte>(i % 3 == 0 ? random() % 5000 : 8)};
    for (auto& b : f.body) b = static_cast<std::byte>(random());
    const auto bytes = writer_.Encode(f.type, f.body);
    stream.insert(stream.end(), bytes.begin(), bytes.end());
    sent.push_back(std::move(f));
  }
  size_t at = 0, got = 0;
  while (at < stream.size()) {
    const size_t n = std::min<size_t>(random() % 3000, stream.size() - at);
    reader_.Append(std::span(stream).subspan(at, n));
    at += n;
    while (true) {
      auto frame = reader_.Next();
      ASSERT_TRUE(frame) << frame.error().what;
      if (!*frame) break;
      EXPECT_EQ((*frame)->type, sent[got].type);
      EXPECT_EQ((*frame)->body, sent[got].body);
      ++got;
    }
  }
  EXPECT_EQ(got, sent.size());
}

TEST_P(Frames, WhatNoSessionCarriesEndsIt) {
  for (auto type :
       {SetupType::kOpen, SetupType::kOpened, SetupType::kProve, SetupType::kChallenge, SetupType::kProof}) {
    FrameReader reader(secret_, Side::kDialler);
    reader.Append(EncodeSetup(type, {}));
    EXPECT_FALSE(reader.Next());
  }
  FrameReader reader(secret_, Side::kDialler);
  reader.Append(std::vector<std::byte>(kSetupPrefixBytes));
  EXPECT_FALSE(reader.Next());
  EXPECT_FALSE(reader.forged());
}

INSTANTIATE_TEST_SUITE_P(Keys, Frames, testing::Bool(),
                         [](const auto& param) { return param.param ? "WithAKey" : "WithoutAKey"; });

class SealedFrames : public testing::Test {
 protected:
  // True when all of them are taken.
  static bool Taken(const std::vector<std::vector<std::byte>>& messages, Side side = Side::kDialler, char key = 's') {
    FrameReader reader(Secret(key), side);
    for (const auto& bytes : messages) {
      reader.Append(bytes);
      auto frame = reader.Next();
      if (!frame) {
        EXPECT_TRUE(reader.forged());
        return false;
      }
      if (!*frame) return false;
    }
    return true;
  }
  std::vector<std::vector<std::byte>> Three() {
    FrameWriter writer(Secret(), Side::kDialler);
    std::vector<std::vector<std::byte>> out;
    for (const char* text : {"one", "two", "three"}) out.push_back(writer.Encode(SetupType::kTable, Text(text)));
    return out;
  }
};

TEST_F(SealedFrames, OnlyInTheirOrderAndOnceEach) {
  const auto m = Three();
  EXPECT_TRUE(Taken({m[0], m[1], m[2]}));
  for (int a = 0; a < 3; ++a) {
    for (int b = 0; b < 3; ++b) {
      for (int c = 0; c < 3; ++c) {
        EXPECT_EQ(Taken({m[static_cast<size_t>(a)], m[static_cast<size_t>(b)], m[static_cast<size_t>(c)]}),
                  a == 0 && b == 1 && c == 2);
      }
    }
  }
}

TEST_F(SealedFrames, OnlyFromTheOtherSideAndOfThisCall) {
  const auto m = Three();
  EXPECT_FALSE(Taken({m[0]}, Side::kAcceptor));
  EXPECT_FALSE(Taken({m[0]}, Side::kDialler, 'z'));
}

TEST_F(SealedFrames, WithEveryBitInItsPlace) {
  const auto good = Three()[0];
  for (size_t i = kSetupPrefixBytes; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      auto bad = good;
      bad[i] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(Taken({bad})) << i;
    }
  }
  auto other_type = good;
  other_type[6] = static_cast<std::byte>(SetupType::kSurvey);
  EXPECT_FALSE(Taken({other_type}));
}

TEST_F(SealedFrames, ARefusalInPlaceOfTheFirstNeedsNoSealAndLaterOnesDo) {
  const auto refused = EncodeRefused({1, true, RefusedCode::kForbidden, "no"});
  FrameReader first(Secret(), Side::kDialler);
  first.Append(refused);
  auto frame = first.Next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->type, SetupType::kRefused);
  FrameReader later(Secret(), Side::kDialler);
  later.Append(Three()[0]);
  ASSERT_TRUE(later.Next());
  later.Append(refused);
  later.Append(std::vector<std::byte>(32));
  EXPECT_FALSE(later.Next());
  EXPECT_TRUE(later.forged());
}

// Nodes whose sessions are queues.
class SurveyNet {
 public:
  struct Node {
    std::unique_ptr<Surveys> surveys;
    std::vector<SessionId> sessions;
    bool silent = false;
  };
  explicit SurveyNet(size_t count) : nodes_(count) {
    for (size_t i = 0; i < count; ++i) {
      Surveys::Hooks hooks;
      hooks.ask = [this, i](SessionId s, const SurveyMessage& m) { Post(i, s, m); };
      hooks.tell = [this, i](SessionId s, const FindingsMessage& m) { Post(i, s, m); };
      hooks.answer = [i](const std::string& q) { return Finding{i + 1, "n" + std::to_string(i), q}; };
      hooks.sessions = [this, i] { return nodes_[i].sessions; };
      nodes_[i].surveys = std::make_unique<Surveys>(i + 1, std::move(hooks));
    }
  }
  void Link(size_t a, size_t b) {
    const SessionId s = ++last_;
    ends_[s] = {a, b};
    nodes_[a].sessions.push_back(s);
    nodes_[b].sessions.push_back(s);
  }
  void Run(TimePoint now, std::mt19937& random) {
    while (!queue_.empty()) {
      // In order on each session, in any order among them.
      const size_t pick = random() % queue_.size();
      size_t first = 0;
      while (queue_[first].session != queue_[pick].session || queue_[first].to != queue_[pick].to) ++first;
      Letter letter = std::move(queue_[first]);
      queue_.erase(queue_.begin() + static_cast<ptrdiff_t>(first));
      ++letters_;
      if (nodes_[letter.to].silent) continue;
      Surveys& to = *nodes_[letter.to].surveys;
      if (auto* survey = std::get_if<SurveyMessage>(&letter.message)) {
        to.Receive(letter.session, *survey, now);
      } else {
        to.Receive(letter.session, std::get<FindingsMessage>(letter.message), now);
      }
    }
  }
  Node& node(size_t i) { return nodes_[i]; }
  size_t letters() const { return letters_; }
  SessionId last() const { return last_; }

 private:
  struct Letter {
    size_t to;
    SessionId session;
    std::variant<SurveyMessage, FindingsMessage> message;
  };
  template <class M>
  void Post(size_t from, SessionId s, const M& m) {
    const auto [a, b] = ends_.at(s);
    queue_.push_back({from == a ? b : a, s, m});
  }
  std::vector<Node> nodes_;
  std::map<SessionId, std::pair<size_t, size_t>> ends_;
  std::deque<Letter> queue_;
  SessionId last_ = 0;
  size_t letters_ = 0;
};

TEST(Survey, ReachesEveryNodeOfAnyGraphOnceAndEndsByItself) {
  std::mt19937 random(11);
  for (int round = 0; round < 100; ++round) {
    const size_t n = 1 + random() % 20;
    SurveyNet net(n);
    size_t links = 0;
    for (size_t i = 1; i < n; ++i, ++links) net.Link(i, random() % i);
    for (size_t more = random() % 20; n > 1 && more > 0; --more) {
      const size_t a = random() % n, b = random() % n;
      if (a != b) net.Link(a, b), ++links;
    }
    fake::ManualClock clock;
    std::set<NodeId> heard;
    int done = 0;
    size_t findings = 0;
    Surveys& origin = *net.node(random() % n).surveys;
    origin.Ask(
        "q", std::chrono::seconds(1),
        [&](std::vector<Finding> found) {
          ++done;
          findings = found.size();
          for (const Finding& f : found) heard.insert(f.node);
        },
        clock.Now());
    net.Run(clock.Now(), random);
    origin.Tick(clock.Now());
    EXPECT_EQ(done, 1) << "without waiting";
    EXPECT_EQ(heard.size(), n);
    EXPECT_EQ(findings, n);
    EXPECT_LE(net.letters(), 4 * links + n * n) << "questions and their ends per link, findings per node and hop";
    clock.Advance(std::chrono::seconds(30));
    for (size_t i = 0; i < n; ++i) {
      net.node(i).surveys->Tick(clock.Now());
      EXPECT_EQ(net.node(i).surveys->size(), 0u) << "something is kept for ever";
    }
  }
}

TEST(Survey, GoesOnWithoutThoseWhoAreSilentOrGone) {
  std::mt19937 random(12);
  SurveyNet net(3);
  net.Link(0, 1);
  net.Link(0, 2);
  net.node(2).silent = true;
  fake::ManualClock clock;
  std::vector<Finding> found;
  auto ask = [&] {
    found.clear();
    net.node(0).surveys->Ask(
        "q", std::chrono::seconds(1), [&](std::vector<Finding> f) { found = std::move(f); }, clock.Now());
    net.Run(clock.Now(), random);
    EXPECT_TRUE(found.empty());
  };
  ask();
  clock.Advance(std::chrono::milliseconds(999));
  net.node(0).surveys->Tick(clock.Now());
  EXPECT_TRUE(found.empty());
  clock.Advance(std::chrono::milliseconds(1));
  net.node(0).surveys->Tick(clock.Now());
  EXPECT_EQ(found.size(), 2u);
  ask();
  net.node(0).surveys->SessionDown(net.last(), clock.Now());
  EXPECT_EQ(found.size(), 2u) << "it waits for a session that is gone";
}

TEST(Survey, FloodsAreBoundedAndStrangersAnswersAreNotTaken) {
  fake::ManualClock clock;
  size_t told = 0, asked = 0;
  Surveys surveys(
      1, {[&](SessionId, const SurveyMessage&) { ++asked; }, [&](SessionId, const FindingsMessage&) { ++told; },
          [](const std::string&) {
            return Finding{1, "n", "t"};
          },
          [] {
            return std::vector<SessionId>{1, 2};
          }});
  for (uint64_t id = 0; id < 10000; ++id) {
    surveys.Receive(1, SurveyMessage{99, id, 60'000, "q"}, clock.Now());
    surveys.Receive(1, FindingsMessage{99, id, false, {5, "x", "y"}}, clock.Now());  // 1 asked, and was not asked
    surveys.Receive(2, FindingsMessage{98, id, true, {}}, clock.Now());
  }
  EXPECT_LE(surveys.size(), 64u);
  EXPECT_LE(asked, 64u);
  EXPECT_EQ(told, 10000u) << "one finding or one end for each question";
  for (uint64_t node = 0; node < 5000; ++node) {
    surveys.Receive(2, FindingsMessage{99, 0, false, {node, "x", "y"}}, clock.Now());
  }
  EXPECT_LE(told, 10000u + 1024u);
}

int g_lines = 0;
std::string g_last;

TEST(RateLimitedLog, KeepsAFloodBackAndCountsIt) {
  SetLogSink([](LogLevel, const char*, int, const char* text) {
    ++g_lines;
    g_last = text;
  });
  fake::ManualClock clock;
  RateLimitedLog log(clock);
  g_lines = 0;
  for (int i = 0; i < 1000; ++i) log.Warn("flood", "again");
  EXPECT_EQ(g_lines, 3);
  log.Info("other", "another kind");
  EXPECT_EQ(g_last, "another kind");
  clock.Advance(std::chrono::seconds(21));
  log.Warn("flood", "again");
  EXPECT_EQ(g_last, "again (and 997 such lines kept back before)");
  clock.Advance(std::chrono::hours(1));
  g_lines = 0;
  for (int i = 0; i < 1000; ++i) log.Warn("flood", "again");
  EXPECT_EQ(g_lines, 3);
  log.Warn("lines", "one\nWARN two");
  EXPECT_EQ(g_last, "one?WARN two");
  SetLogSink(nullptr);
}

}  // namespace
}  // namespace relay::agent
