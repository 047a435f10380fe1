#include "agent/discovery/hello_gate.h"

namespace relay::agent {
namespace {

constexpr Duration kBetweenLines = std::chrono::seconds(10);
// A clone or a loop of cables that is unplugged is forgotten after this.
constexpr Duration kRemembered = std::chrono::seconds(10);
// Ports of one node that hear each other: more pairs than any wiring has.
constexpr size_t kMostOwnPairs = 64;
constexpr int kOnWireTtl = 255;

std::string Whence(const HelloArrival& arrival) {
  return arrival.from.HostText() + (arrival.port.empty() ? "" : " on " + arrival.port);
}

std::string NameOf(const Hello& hello) { return hello.name.empty() ? "a node without a name" : hello.name; }

}  // namespace

HelloGate::HelloGate(NodeId self, uint64_t incarnation, Hooks hooks, HelloCounts& counts)
    : self_(self), incarnation_(incarnation), hooks_(std::move(hooks)), counts_(counts) {}

bool HelloGate::open() const { return hooks_.seal({}) == fabric::Mac{}; }

void HelloGate::Warn(const std::string& kind, const std::string& sentence, TimePoint now) {
  Line& line = lines_[kind];
  if (line.said != TimePoint{} && now - line.said < kBetweenLines) {
    ++line.left_out;
    return;
  }
  const std::string more = line.left_out == 0 ? "" : " (and " + std::to_string(line.left_out) + " more like it)";
  line = {now, 0};
  hooks_.warn(sentence + more);
}

std::optional<Hello> HelloGate::Admit(std::span<const std::byte> bytes, const HelloArrival& arrival, TimePoint now) {
  const bool wire = !arrival.port.empty();
  if (wire && arrival.ttl != kOnWireTtl) {
    ++counts_.refused_ttl;
    Warn("ttl", "a hello from " + Whence(arrival) + " is refused: it has passed a router, so it is not from this wire",
         now);
    return std::nullopt;
  }
  auto sealed = DecodeHello(bytes);
  if (!sealed || (wire && sealed->hello.ttl != kOnWireTtl)) {
    ++counts_.refused_bytes;
    Warn("bytes", "from " + Whence(arrival) + " comes " + (sealed ? "a routed hello on a wire" : sealed.error().what),
         now);
    return std::nullopt;
  }
  if (!Proven(bytes, *sealed, arrival, now)) return std::nullopt;
  if (sealed->hello.node == self_) {
    OwnCameBack(sealed->hello, arrival, now);
    return std::nullopt;
  }
  // By unicast the address is all that tells ways apart.
  if (!guard_.Accept(sealed->hello, arrival.port + " " + arrival.from.HostText(), now)) {
    ++counts_.refused_replay;
    Warn("replay",
         "a hello of " + NameOf(sealed->hello) + " from " + Whence(arrival) +
             " is refused: it was said before, by somebody who replays it or by a second machine with the same id",
         now);
    return std::nullopt;
  }
  ++counts_.received;
  return std::move(sealed->hello);
}

bool HelloGate::Proven(std::span<const std::byte> bytes, const SealedHello& sealed, const HelloArrival& arrival,
                       TimePoint now) {
  const bool without_proof = sealed.mac == fabric::Mac{};
  const std::string who = "a hello of " + NameOf(sealed.hello) + " from " + Whence(arrival) + " is refused: ";
  if (open()) {
    if (without_proof) return true;
    ++counts_.refused_wrong_key;
    Warn("key", who + "it has a key and this node has none; set NCCL_RELAY_KEY_FILE here too", now);
    return false;
  }
  if (!without_proof && hooks_.verify(bytes.first(sealed.sealed_bytes), sealed.mac)) return true;
  ++(without_proof ? counts_.refused_no_key : counts_.refused_wrong_key);
  Warn(without_proof ? "no key" : "key",
       who + (without_proof ? "it has no key; set NCCL_RELAY_KEY_FILE there"
                            : "its key is another one; give every node the same key file"),
       now);
  return false;
}

void HelloGate::OwnCameBack(const Hello& hello, const HelloArrival& arrival, TimePoint now) {
  if (hello.incarnation == incarnation_) {
    ++counts_.own;
    const std::string pair =
        "hellos of " + hello.port + " come back on " + (arrival.port.empty() ? "it" : arrival.port);
    if (!own_heard_.contains(pair)) {
      if (own_heard_.size() >= kMostOwnPairs) return;
      hooks_.warn(pair + ": a cable or a switch joins two ports of this node, which is no link");
    }
    own_heard_[pair] = now;
    return;
  }
  ++counts_.contested;
  contested_at_ = now;
  contested_ = "another machine uses this node's id: " + NameOf(hello) + " at " + Whence(arrival) +
               ", perhaps cloned from the same image: end one of the two agents, remove its file node-* in its runtime "
               "directory and start it again";
  Warn("contested", contested_, now);
}

std::vector<std::string> HelloGate::OwnHeard(TimePoint now) const {
  std::vector<std::string> out;
  for (const auto& [pair, heard] : own_heard_) {
    if (now - heard < kRemembered) out.push_back(pair);
  }
  return out;
}

std::string HelloGate::Contested(TimePoint now) const {
  return !contested_.empty() && now - contested_at_ < kRemembered ? contested_ : "";
}

}  // namespace relay::agent
