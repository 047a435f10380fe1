// The greeting of a call between two agents, without I/O: messages in, messages out. The side that is called proves
// first that it holds the key, so that no token and no topology is told to anybody who does not.
//
//   dialler:  proving --CHALLENGE holds--> done (PROOF and the message are sent)
//   acceptor: first --PROVE--> challenged --PROOF--> proven --OPEN or SESSION, PROOF holds--> done
//   Without a key: the dialler is done at once, the acceptor with the first OPEN or SESSION.
//   Everything else, in every state --> refused.
//
// A proof covers both nonces, both nodes and its role: it is worth nothing in another call, nor played back to its
// sender. That of the dialler covers the message that follows it, too.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/trust/key.h"
#include "base/clock.h"
#include "relay/setup.h"

namespace relay::agent {

// A whole greeting and the message after it may take so long, however its bytes trickle.
inline constexpr Duration kGreetingPatience = std::chrono::seconds(5);

// Who speaks, as it says itself: proven only when the handshake is.
struct Party {
  NodeId node = 0;
  std::string name;
};

struct HandshakeRefusal {
  enum class Reason : uint8_t {
    kOtherKey,  // a proof does not hold
    kNoKey,     // one side has a key, the other none
    kBytes,     // nothing that an agent sends at this point
    kTheirs,    // the other side refuses, for a reason of its own
  };
  Reason reason = Reason::kBytes;
  RefusedMessage message;  // for the log here, and for the other side unless it said so itself
};

struct HandshakeStep {
  std::vector<std::byte> send;              // whole messages, in this order
  std::optional<HandshakeRefusal> refused;  // the call ends when `send` is on its way
};

class DialerHandshake {
 public:
  struct Call {
    Party self;
    Party peer;                      // whom the caller means to reach; node 0: whoever it is
    std::vector<std::byte> message;  // OPEN or SESSION, whole
  };
  // `key` may be null. `nonce` is RandomNonce().
  DialerHandshake(std::shared_ptr<const Key> key, Call call, const Nonce& nonce);

  // Once, first: what to send.
  std::vector<std::byte> Begin();
  // Until done: the next message of the other side.
  HandshakeStep Receive(SetupType type, std::span<const std::byte> body);
  // The message is sent; what comes from now on answers it.
  bool done() const { return state_ == State::kDone; }
  // The secret of this call alone, which seals what follows. Null when there is no key.
  std::shared_ptr<const Key> secret() const { return secret_; }

 private:
  enum class State : uint8_t { kProving, kDone, kRefused };
  HandshakeStep Refused(HandshakeRefusal::Reason reason, RefusedCode code, std::string sentence);

  const std::shared_ptr<const Key> key_;
  const Call call_;
  std::vector<std::byte> prove_;  // body of the PROVE
  std::shared_ptr<const Key> secret_;
  State state_ = State::kProving;
};

class AcceptorHandshake {
 public:
  // `name_of` names a node that does not say its name.
  using NameOfNode = std::function<std::string(NodeId)>;
  AcceptorHandshake(std::shared_ptr<const Key> key, Party self, const Nonce& nonce, NameOfNode name_of);

  // Until done: the next message of the other side.
  HandshakeStep Receive(SetupType type, std::span<const std::byte> body);
  // The last message received is the OPEN or SESSION of this call.
  bool done() const { return state_ == State::kDone; }
  // Who dialled: proven with a key; without one, node 0.
  const Party& dialler() const { return dialler_; }
  std::shared_ptr<const Key> secret() const { return secret_; }

 private:
  enum class State : uint8_t { kFirst, kChallenged, kProven, kDone, kRefused };
  HandshakeStep First(SetupType type, std::span<const std::byte> body);
  HandshakeStep Challenge(std::span<const std::byte> body);
  HandshakeStep TakeProof(SetupType type, std::span<const std::byte> body);
  HandshakeStep TakeMessage(SetupType type, std::span<const std::byte> body);
  HandshakeStep Refused(HandshakeRefusal::Reason reason, std::string sentence);
  std::string Name(const Party& party) const;

  const std::shared_ptr<const Key> key_;
  const Party self_;
  const Nonce nonce_;
  const NameOfNode name_of_;
  Party dialler_;
  std::vector<std::byte> transcript_;  // PROVE and CHALLENGE, without the MAC
  Mac proof_{};
  std::shared_ptr<const Key> secret_;
  State state_ = State::kFirst;
};

// The sentence that both logs get.
std::string DifferentKeysText(const std::string& self, const std::string& other);

}  // namespace relay::agent
