#include "agent/session/session_calls.h"

#include <algorithm>
#include <utility>

namespace relay::agent {
namespace {

// Discovery of the two ends finds the link within moments of each other, not at once.
constexpr Duration kParkedFor = std::chrono::seconds(1);
constexpr size_t kMostParked = 64;

}  // namespace

SessionCalls::~SessionCalls() {
  for (auto& [id, waiting] : parked_) parts_.loop.Cancel(waiting.timer);
}

void SessionCalls::Accepted(Call call) {
  const SessionTable::Self& self = parts_.self;
  auto message = DecodeSession(call.body);
  if (!message) {
    Add(parts_.counters.setup_refused_bytes);
    parts_.log.Warn("bytes", "call from " + call.from.HostText() + ": " + message.error().what);
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
  if (auto key = lines_.Called(call.near_port, *message)) return Take(*key, std::move(call), *message);
  Park(std::move(call), std::move(*message));
}

void SessionCalls::Park(Call call, SessionMessage message) {
  if (parked_.size() >= kMostParked) return RefuseUnknown(call, message);
  const uint64_t id = next_++;
  const auto timer = parts_.loop.After(kParkedFor, [this, id] {
    auto late = parked_.extract(id);
    RefuseUnknown(late.mapped().call, late.mapped().message);
  });
  parked_.emplace(id, Parked{std::move(call), std::move(message), timer});
}

void SessionCalls::Unpark() {
  for (auto it = parked_.begin(); it != parked_.end();) {
    auto key = lines_.Called(it->second.call.near_port, it->second.message);
    if (!key) {
      ++it;
      continue;
    }
    Parked waiting = std::move(it->second);
    parked_.erase(it);
    parts_.loop.Cancel(waiting.timer);
    Take(*key, std::move(waiting.call), waiting.message);
    it = parked_.begin();  // the owner heard of a session, and may have done anything
  }
}

void SessionCalls::Take(const LineKey& key, Call call, const SessionMessage& message) {
  Line& line = lines_.At(key);
  if (message.incarnation < std::max(line.adjacent.far_incarnation, line.facts.far_incarnation)) {
    return Refuse(call, RefusedCode::kForbidden, "an agent of " + message.name + " calls that was replaced by another");
  }
  sessions_.Close(line, {Loss::Cause::kEnded, "its agent has called anew"});
  if (!lines_.Has(key)) return;
  FrameWriter writer(call.secret, Side::kAcceptor);
  const auto answer = EncodeBody(Introduction(parts_.self, line));
  if (!WriteWhole(call.socket.get(), writer.Encode(SetupType::kSession, answer))) return;
  line.lease = std::move(call.lease);
  FrameReader reader(call.secret, Side::kDialler);
  // The dialler's first message was its SESSION, which the handshake proved. Where the session does not start, that end
  // hears it from the socket and dials again.
  sessions_.Open(key, {std::move(call.socket), std::move(reader), std::move(writer), parts_.self.hop.hop_timeout},
                 message);
}

void SessionCalls::Refuse(const Call& call, RefusedCode code, const std::string& why) {
  Add(parts_.counters.sessions_refused);
  parts_.log.Warn("session refused",
                  "session refused to " + call.from.HostText() + " on " + call.near_port + ": " + why);
  SayLastWords(call.socket.get(), EncodeRefused({parts_.self.node, false, code, why}));
}

void SessionCalls::RefuseUnknown(const Call& call, const SessionMessage& message) {
  Refuse(call, RefusedCode::kForbidden,
         parts_.self.name + " has not found a link from its port " + call.near_port + " to " + message.name + "/" +
             message.near_port + ": hellos must pass both ways (multicast, UDP port " +
             std::to_string(parts_.self.port) + ")");
}

}  // namespace relay::agent
