// How lines get their sessions: the end with the lower node id dials, the other one is called.
#include <algorithm>

#include "agent/session/lines.h"
#include "base/random.h"

namespace relay::agent {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(50), kLongestPause = std::chrono::seconds(5);
// Discovery of the two ends finds the link within moments of each other, not at once.
constexpr Duration kParkedFor = std::chrono::seconds(1);
constexpr size_t kMostParked = 64;

std::string LineText(const std::string& self, const Adjacent& a) {
  const std::string far = a.far_name.empty() ? a.far_address.HostText() : a.far_name;
  return "link " + self + "/" + a.near_port + " to " + far + "/" + a.far.port;
}

}  // namespace

void SessionTable::Inner::DialLater(const LineKey& key, Line& line) {
  loop.Cancel(line.dial);
  line.dial = 0;
  if (!Dials(line)) return;
  Duration pause = Duration::zero();
  if (line.failures > 0) {
    pause = std::min<Duration>(kLongestPause, kFirstPause * (1LL << std::min(line.failures - 1, 10u)));
    pause += pause * (RandomValue<uint8_t>() % 64) / 256;  // not all at once after a switch comes back
  }
  line.dial = loop.After(pause, [this, key] { Dial(key); });
}

void SessionTable::Inner::Dial(const LineKey& key) {
  Line& line = lines.at(key);
  line.dial = 0;
  const Adjacent& a = line.adjacent;
  SessionCall::Facts facts;
  facts.target = {a.routed ? "" : a.near_port, a.near_address, a.far_address};
  facts.hop = self.hop;
  facts.key = self.key;
  facts.peer = {a.far.node, a.far_name};
  facts.message = Introduction(line);
  line.call = std::make_unique<SessionCall>(
      loop, facts, [this, key](SessionCall::Outcome outcome) { OnCallDone(key, std::move(outcome)); });
}

void SessionTable::Inner::OnCallDone(const LineKey& key, SessionCall::Outcome outcome) {
  Line& line = lines.at(key);
  const std::unique_ptr<SessionCall> ended = std::move(line.call);
  ++line.failures;
  if (outcome && outcome->message.node != line.adjacent.far.node) {
    outcome = tl::unexpected(SessionCall::Failure{"another node answers there"});
  }
  if (!outcome) {
    if (outcome.error().other_key) Add(counters.handshakes_refused_key);
    log.Warn("session", LineText(self.name, line.adjacent) + " has no session yet: " + outcome.error().why);
    return DialLater(key, line);
  }
  Session::Line opened{std::move(outcome->socket), std::move(outcome->reader), std::move(outcome->writer),
                       self.hop.hop_timeout};
  Open(key, std::move(opened), outcome->message);
}

void SessionTable::Inner::Accepted(Call call) {
  auto message = DecodeSession(call.body);
  if (!message) {
    Add(counters.setup_refused_bytes);
    log.Warn("bytes", "call from " + call.from.HostText() + ": " + message.error().what);
    return SayLastWords(call.socket.get(), EncodeRefused({self.node, true, RefusedCode::kProtocol,
                                                          self.name + " got a SESSION that it cannot read"}));
  }
  if (message->node == self.node) {
    return Refuse(call, RefusedCode::kForbidden,
                  message->name + " has the node id of " + self.name +
                      ": if one machine is a copy of the other, remove the identity that was copied");
  }
  if (call.secret && call.proven != message->node) {
    return Refuse(call, RefusedCode::kForbidden, message->name + " says that it is another node than it proved to be");
  }
  if (message->node > self.node) {
    return Refuse(call, RefusedCode::kForbidden,
                  message->name + " called " + self.name + ", which has the lower node id and calls itself");
  }
  if (auto key = LineOf(call, *message)) return Take(*key, std::move(call), *message);
  Park(std::move(call), std::move(*message));
}

std::optional<LineKey> SessionTable::Inner::LineOf(const Call& call, const SessionMessage& message) const {
  const PortName far{message.node, message.near_port};
  if (message.far_port == call.near_port && lines.contains({call.near_port, far})) return LineKey{call.near_port, far};
  if (lines.contains({"", far})) return LineKey{"", far};
  // Beyond routers, the port that a call leaves by is the kernel's choice, which may have changed since the last hello.
  for (const auto& [key, line] : lines) {
    if (line.adjacent.routed && key.far.node == message.node) return key;
  }
  return std::nullopt;
}

void SessionTable::Inner::Park(Call call, SessionMessage message) {
  const auto refuse = [this](const Call& unknown, const SessionMessage& m) {
    Refuse(unknown, RefusedCode::kForbidden,
           self.name + " has not found a link from its port " + unknown.near_port + " to " + m.name + "/" +
               m.near_port + ": hellos must pass both ways (multicast, UDP port " + std::to_string(self.port) + ")");
  };
  if (parked.size() >= kMostParked) return refuse(call, message);
  const uint64_t id = next_parked++;
  const auto timer = loop.After(kParkedFor, [this, id, refuse] {
    auto late = parked.extract(id);
    refuse(late.mapped().call, late.mapped().message);
  });
  parked.emplace(id, Parked{std::move(call), std::move(message), timer});
}

void SessionTable::Inner::Unpark() {
  for (auto it = parked.begin(); it != parked.end();) {
    auto key = LineOf(it->second.call, it->second.message);
    if (!key) {
      ++it;
      continue;
    }
    Parked waiting = std::move(it->second);
    parked.erase(it);
    loop.Cancel(waiting.timer);
    Take(*key, std::move(waiting.call), waiting.message);
    it = parked.begin();  // the owner heard of a session, and may have done anything
  }
}

void SessionTable::Inner::Take(const LineKey& key, Call call, const SessionMessage& message) {
  Line& line = lines.at(key);
  if (message.incarnation < std::max(line.adjacent.far_incarnation, line.facts.far_incarnation)) {
    return Refuse(call, RefusedCode::kForbidden, "an agent of " + message.name + " calls that was replaced by another");
  }
  Close(line, {Loss::Cause::kEnded, "its agent has called anew"});
  if (!lines.contains(key)) return;
  FrameWriter writer(call.secret, Side::kAcceptor);
  if (!WriteWhole(call.socket.get(), writer.Encode(SetupType::kSession, EncodeBody(Introduction(line))))) return;
  line.lease = std::move(call.lease);
  FrameReader reader(call.secret, Side::kDialler);
  // The dialler's first message was its SESSION, which the handshake proved.
  Open(key, {std::move(call.socket), std::move(reader), std::move(writer), self.hop.hop_timeout}, message);
}

void SessionTable::Inner::Refuse(const Call& call, RefusedCode code, const std::string& why) {
  Add(counters.sessions_refused);
  log.Warn("session refused", "session refused to " + call.from.HostText() + " on " + call.near_port + ": " + why);
  SayLastWords(call.socket.get(), EncodeRefused({self.node, false, code, why}));
}

}  // namespace relay::agent
