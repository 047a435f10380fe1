#include "agent/session/line_dialer.h"

#include <algorithm>

#include "base/random.h"

namespace relay::agent {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(50), kLongestPause = std::chrono::seconds(5);

std::string LineText(const std::string& self, const Adjacent& a) {
  const std::string far = a.far_name.empty() ? a.far_address.HostText() : a.far_name;
  return "link " + self + "/" + a.near_port + " to " + far + "/" + a.far.port;
}

}  // namespace

void LineDialer::DialLater(const LineKey& key, Line& line) {
  parts_.loop.Cancel(line.dial);
  line.dial = 0;
  if (parts_.self.node >= line.adjacent.far.node) return;
  Duration pause = Duration::zero();
  if (line.failures > 0) {
    pause = std::min<Duration>(kLongestPause, kFirstPause * (1LL << std::min(line.failures - 1, 10u)));
    pause += pause * (RandomValue<uint8_t>() % 64) / 256;  // not all at once after a switch comes back
  }
  line.dial = parts_.loop.After(pause, [this, key] { Dial(key); });
}

void LineDialer::Dial(const LineKey& key) {
  Line& line = lines_.At(key);
  line.dial = 0;
  const Adjacent& a = line.adjacent;
  SessionCall::Facts facts;
  facts.target = {a.routed ? "" : a.near_port, a.near_address, a.far_address};
  facts.hop = parts_.self.hop;
  facts.hop.packet = a.passes;
  facts.key = parts_.self.key;
  facts.peer = {a.far.node, a.far_name};
  facts.message = Introduction(parts_.self, line);
  line.call = std::make_unique<SessionCall>(
      parts_.loop, facts, [this, key](SessionCall::Outcome outcome) { OnCallDone(key, std::move(outcome)); });
}

void LineDialer::OnCallDone(const LineKey& key, SessionCall::Outcome outcome) {
  Line& line = lines_.At(key);
  const std::unique_ptr<SessionCall> ended = std::move(line.call);
  ++line.failures;
  if (outcome && outcome->message.node != line.adjacent.far.node) {
    outcome = tl::unexpected(SessionCall::Failure{"another node answers there"});
  }
  if (!outcome) {
    if (outcome.error().other_key) Add(parts_.counters.handshakes_refused_key);
    parts_.log.Warn("session",
                    LineText(parts_.self.name, line.adjacent) + " has no session yet: " + outcome.error().why);
    return DialLater(key, line);
  }
  Session::Line opened{std::move(outcome->socket), std::move(outcome->reader), std::move(outcome->writer),
                       parts_.self.hop.hop_timeout};
  if (!sessions_.Open(key, std::move(opened), outcome->message)) DialLater(key, line);
}

}  // namespace relay::agent
