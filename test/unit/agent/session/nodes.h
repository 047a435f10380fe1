// Nodes that have sessions and nothing else: a SessionTable and a listener each, on addresses of the loopback
// interface, all driven by one loop in the test's own thread.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/common/setup_io.h"
#include "agent/session/lines.h"
#include "agent/session/session_table.h"
#include "agent/trust/handshake.h"
#include "base/random.h"
#include "transport/tcp/listener.h"

namespace relay::agent {

struct SessionNode {
  struct Greeting {
    Fd socket;
    SocketAddress from;
    AcceptorHandshake handshake;
    SetupReader reader{};
  };

  SessionNode(EventLoop& event_loop, NodeId id, const SocketAddress& at, std::shared_ptr<const Key> its_key = nullptr,
              uint64_t incarnation = 1)
      : loop(event_loop),
        key(std::move(its_key)),
        listener(*transport::tcp::Listener::Open("lo", at.WithPort(0), {})),
        address(listener.address()) {
    self.node = id;
    self.incarnation = incarnation;
    self.name = "n" + std::to_string(id);
    self.build = "0.1.0";
    self.port = address.port();
    self.hop.hop_timeout = std::chrono::seconds(10);
    self.key = key;
    Restart();
    EXPECT_TRUE(loop.Watch(listener.fd(), EPOLLIN, [this](uint32_t) { Accept(); }));
  }
  ~SessionNode() {
    table.reset();
    loop.Forget(listener.fd());
    for (auto& g : greetings) loop.Forget(g.socket.get());
  }
  SessionNode(const SessionNode&) = delete;
  SessionNode& operator=(const SessionNode&) = delete;

  void Restart() {
    SessionTable::Hooks hooks;
    hooks.up = [this](const SessionFacts& f) { ups.push_back(f); };
    hooks.down = [this](const SessionFacts& f, const Loss& loss) {
      downs.push_back(f);
      reasons.push_back(loss.why);
      causes.push_back(loss.cause);
    };
    hooks.measured = [this](const SessionFacts& f) { measured.push_back(f); };
    hooks.link_state = [this](SessionId id, const fabric::LinkStateMessage& m) { heard.emplace_back(id, m); };
    hooks.answer = [this](const std::string& question) { return question + " at " + self.name; };
    table = std::make_unique<SessionTable>(loop, self, std::move(hooks), counters);
  }
  void Accept() {
    while (true) {
      auto accepted = listener.Accept();
      if (!accepted || !*accepted) return;
      greetings.push_back({std::move((*accepted)->fd), (*accepted)->from,
                           AcceptorHandshake(key, {self.node, self.name}, RandomNonce(), nullptr)});
      auto at = std::prev(greetings.end());
      EXPECT_TRUE(loop.Watch(at->socket.get(), EPOLLIN, [this, at](uint32_t) { Greet(at); }));
    }
  }
  void Greet(std::list<Greeting>::iterator at) {
    while (true) {
      auto progress = at->reader.Read(at->socket.get());
      if (progress && *progress == Progress::kAgain) return;
      HandshakeStep step;
      if (progress) step = at->handshake.Receive(at->reader.type(), at->reader.body());
      if (!step.send.empty()) WriteWhole(at->socket.get(), step.send);
      if (step.refused) refusals.push_back(step.refused->message.sentence);
      const bool over = !progress || step.refused || at->handshake.done();
      if (!over) {
        at->reader = {};
        continue;
      }
      loop.Forget(at->socket.get());
      if (progress && at->handshake.done()) {
        table->Accepted({std::move(at->socket),
                         {at->reader.body().begin(), at->reader.body().end()},
                         "lo",
                         at->from,
                         address,
                         at->handshake.secret(),
                         at->handshake.dialler().node,
                         {}});
      }
      greetings.erase(at);
      return;
    }
  }
  // What discovery would find.
  Adjacent Sees(const SessionNode& other, bool routed = false) const {
    Adjacent a;
    a.near_port = "lo";
    a.far = {other.self.node, "lo"};
    a.far_incarnation = other.self.incarnation;
    a.far_name = other.self.name;
    a.far_address = other.address;
    a.near_address = address;
    a.routed = routed;
    return a;
  }
  bool up() const { return !table->sessions().empty(); }

  EventLoop& loop;
  std::shared_ptr<const Key> key;
  transport::tcp::Listener listener;
  SocketAddress address;
  SessionTable::Self self;
  Counters counters;
  std::list<Greeting> greetings;
  std::unique_ptr<SessionTable> table;
  std::vector<SessionFacts> ups, downs, measured;
  std::vector<std::string> reasons, refusals;
  std::vector<Loss::Cause> causes;
  std::vector<std::pair<SessionId, fabric::LinkStateMessage>> heard;
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() : loop_(clock_) {}

  SocketAddress Next() { return *SocketAddress::Parse(prefix_ + std::to_string(++last_)); }
  // Runs the loop until it is so.
  template <class Condition>
  bool Eventually(Condition condition, Duration patience = std::chrono::seconds(20)) {
    const TimePoint end = clock_.Now() + patience;
    while (!condition()) {
      if (clock_.Now() > end) return false;
      loop_.RunOnce(std::chrono::milliseconds(5));
    }
    return true;
  }
  static void Find(SessionNode& a, SessionNode& b) {
    a.table->Found(a.Sees(b));
    b.table->Found(b.Sees(a));
  }
  void Join(SessionNode& a, SessionNode& b) {
    const size_t before_a = a.table->sessions().size(), before_b = b.table->sessions().size();
    Find(a, b);
    ASSERT_TRUE(
        Eventually([&] { return a.table->sessions().size() > before_a && b.table->sessions().size() > before_b; }));
  }
  // A socket to that node, as from another one's address.
  Fd Dial(const SessionNode& to, const SocketAddress& from) {
    auto fd = transport::tcp::StartDial({"lo", from, to.address}, {});
    EXPECT_TRUE(fd) << fd.error().what;
    EXPECT_TRUE(Eventually([&] {
      pollfd p{fd->get(), POLLOUT, 0};
      return poll(&p, 1, 0) == 1;
    }));
    return std::move(*fd);
  }
  RefusedMessage RefusedOn(int fd) {
    SetupReader reader;
    bool done = false;
    EXPECT_TRUE(Eventually([&] {
      auto progress = reader.Read(fd);
      EXPECT_TRUE(progress) << progress.error().what;
      done = progress && *progress == Progress::kDone;
      return done || !progress;
    }));
    if (!done || reader.type() != SetupType::kRefused) return {};
    return *DecodeRefused(reader.body());
  }

  SystemClock clock_;
  EventLoop loop_;
  std::string prefix_ =
      "127." + std::to_string(1 + RandomValue<uint8_t>() % 250) + "." + std::to_string(RandomValue<uint8_t>()) + ".";
  int last_ = 0;
};

}  // namespace relay::agent
