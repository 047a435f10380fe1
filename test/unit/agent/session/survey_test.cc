#include "agent/session/survey.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "fake/manual_clock.h"

namespace relay::agent::survey {
namespace {

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

}  // namespace
}  // namespace relay::agent::survey
