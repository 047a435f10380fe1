// The greeting of a call, message by message: every message in every state, and what an attacker can make of them.
#include "agent/trust/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "agent/session/message.h"
#include "base/codec.h"
#include "fake/hex.h"
#include "unit/agent/trust/keys.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;
using Reason = HandshakeRefusal::Reason;

struct Heard {
  SetupType type;
  std::vector<std::byte> body;
};

// Cuts whole messages apart.
std::vector<Heard> Parse(std::span<const std::byte> bytes) {
  std::vector<Heard> out;
  while (!bytes.empty()) {
    auto prefix = DecodeSetupPrefix(bytes.first<kSetupPrefixBytes>());
    EXPECT_TRUE(prefix);
    auto body = bytes.subspan(kSetupPrefixBytes, prefix->body_length);
    out.push_back({prefix->type, {body.begin(), body.end()}});
    bytes = bytes.subspan(kSetupPrefixBytes + prefix->body_length);
  }
  return out;
}

std::vector<std::byte> Session(NodeId node, const std::string& name) {
  return EncodeSetup(SetupType::kSession, EncodeBody(SessionMessage{node, name, 1, "0.1.0", "ab", "ba", 21517}));
}

std::vector<std::byte> Open() {
  OpenMessage open;
  open.source = 1;
  open.source_name = "A";
  open.route = {{1, 2, "ab", "ba"}};
  return EncodeOpen(open);
}

class Handshake : public testing::Test {
 protected:
  DialerHandshake Dialler(std::shared_ptr<const Key> key, std::vector<std::byte> message) {
    return {std::move(key), {{1, "A"}, {2, "B"}, std::move(message)}, RandomNonce()};
  }
  AcceptorHandshake Acceptor(std::shared_ptr<const Key> key) {
    return {std::move(key), {2, "B"}, RandomNonce(), [](NodeId id) { return "node " + std::to_string(id); }};
  }
  struct Talk {
    std::optional<HandshakeRefusal> dialler, acceptor;
    std::vector<SetupType> by_dialler, by_acceptor;
  };
  // Both talk until nobody has anything to say.
  static Talk Run(DialerHandshake& dialler, AcceptorHandshake& acceptor) {
    Talk talk;
    std::vector<Heard> forward = Parse(dialler.Begin()), back;
    while (!forward.empty() || !back.empty()) {
      for (const Heard& m : std::exchange(forward, {})) {
        talk.by_dialler.push_back(m.type);
        if (talk.acceptor) break;
        auto step = acceptor.Receive(m.type, m.body);
        if (step.refused) talk.acceptor = step.refused;
        for (Heard& answer : Parse(step.send)) back.push_back(std::move(answer));
      }
      for (const Heard& m : std::exchange(back, {})) {
        talk.by_acceptor.push_back(m.type);
        if (talk.dialler || dialler.done()) break;
        auto step = dialler.Receive(m.type, m.body);
        if (step.refused) talk.dialler = step.refused;
        for (Heard& answer : Parse(step.send)) forward.push_back(std::move(answer));
      }
    }
    return talk;
  }
};

// The MACs were computed by other means, as docs/wire.md describes them.
TEST_F(Handshake, TheGreetingHasTheseBytes) {
  Nonce mine, theirs;
  mine.fill(std::byte{0x11});
  theirs.fill(std::byte{0x22});
  const auto message =
      EncodeSetup(SetupType::kSession, EncodeBody(SessionMessage{1, "A", 1, "0.1.0", "ab", "ba", 21517}));
  DialerHandshake dialler(KeyOf('k'), {{1, "A"}, {2, "B"}, message}, mine);
  AcceptorHandshake acceptor(KeyOf('k'), {2, "B"}, theirs, {});
  const std::string ones(64, '1'), twos(64, '2');
  const auto prove = dialler.Begin();
  EXPECT_EQ(fake::Hex(prove),
            "6e524c59"
            "0500"
            "0400"
            "2b000000" +
                ones +
                "0100000000000000"
                "010041");
  const auto challenge = acceptor.Receive(SetupType::kProve, Parse(prove)[0].body).send;
  EXPECT_EQ(fake::Hex(challenge),
            "6e524c59"
            "0500"
            "0500"
            "4b000000" +
                twos +
                "0200000000000000"
                "010042"
                "a4d3515a7293eff20693031885c2e21e22a69b39a2e52e93b5774c4faa50a418");
  const auto proof = dialler.Receive(SetupType::kChallenge, Parse(challenge)[0].body).send;
  EXPECT_EQ(fake::Hex(proof),
            "6e524c59"
            "0500"
            "0600"
            "20000000"
            "8ae8283c50ecc06b887d263f5c459c79f347c1c3964b0ffcee7fe843989ee32f" +
                fake::Hex(message));
  const std::string secret = fake::Hex(dialler.secret()->Sign("relay session, acceptor", {}));
  for (const Heard& m : Parse(proof)) acceptor.Receive(m.type, m.body);
  ASSERT_TRUE(acceptor.done());
  EXPECT_EQ(fake::Hex(acceptor.secret()->Sign("relay session, acceptor", {})), secret);
  EXPECT_EQ(secret, "b17a49a5e108b9c2e771b3d3ad50851acec939227fb438d40e5bb2e6cc543dfc");
}

TEST_F(Handshake, WithoutKeysNothingIsExchanged) {
  for (const auto& message : {Open(), Session(1, "A")}) {
    auto dialler = Dialler(nullptr, message);
    auto acceptor = Acceptor(nullptr);
    Talk talk = Run(dialler, acceptor);
    EXPECT_TRUE(dialler.done() && acceptor.done());
    EXPECT_EQ(talk.by_dialler.size(), 1u);
    EXPECT_TRUE(talk.by_acceptor.empty());
    EXPECT_EQ(dialler.secret(), nullptr);
    EXPECT_EQ(acceptor.secret(), nullptr);
    EXPECT_EQ(acceptor.dialler().node, 0u);
  }
}

TEST_F(Handshake, WithOneKeyBothProveItAndShareASecret) {
  for (const auto& message : {Open(), Session(1, "A")}) {
    auto dialler = Dialler(KeyOf('k'), message);
    auto acceptor = Acceptor(KeyOf('k'));
    Talk talk = Run(dialler, acceptor);
    ASSERT_TRUE(dialler.done() && acceptor.done());
    EXPECT_EQ(talk.by_dialler, (std::vector{SetupType::kProve, SetupType::kProof, Parse(message)[0].type}));
    EXPECT_EQ(talk.by_acceptor, std::vector{SetupType::kChallenge});
    EXPECT_EQ(acceptor.dialler().node, 1u);
    const std::vector<std::byte> bytes(5);
    EXPECT_TRUE(acceptor.secret()->Verify("x", bytes, dialler.secret()->Sign("x", bytes)));
    EXPECT_FALSE(KeyOf('k')->Verify("x", bytes, dialler.secret()->Sign("x", bytes)));
  }
}

TEST_F(Handshake, DifferentKeysAreNamedByBothSidesAndTheMessageIsNeverSent) {
  auto dialler = Dialler(KeyOf('k'), Open());
  auto acceptor = Acceptor(KeyOf('l'));
  Talk talk = Run(dialler, acceptor);
  ASSERT_TRUE(talk.dialler && talk.acceptor);
  EXPECT_EQ(talk.dialler->reason, Reason::kOtherKey);
  EXPECT_EQ(talk.acceptor->reason, Reason::kOtherKey);
  EXPECT_EQ(talk.dialler->message.sentence,
            "A and B hold different keys: compare the files that NCCL_RELAY_KEY_FILE names");
  EXPECT_EQ(talk.acceptor->message.sentence,
            "B and A hold different keys: compare the files that NCCL_RELAY_KEY_FILE names");
  EXPECT_EQ(talk.by_dialler, (std::vector{SetupType::kProve, SetupType::kRefused})) << "the OPEN's token was told";
}

TEST_F(Handshake, AKeylessDiallerIsToldWhatToSet) {
  for (const auto& message : {Open(), Session(1, "A")}) {
    auto dialler = Dialler(nullptr, message);
    auto acceptor = Acceptor(KeyOf('k'));
    Talk talk = Run(dialler, acceptor);
    ASSERT_TRUE(talk.acceptor);
    EXPECT_EQ(talk.acceptor->reason, Reason::kNoKey);
    EXPECT_EQ(talk.acceptor->message.code, RefusedCode::kForbidden);
    EXPECT_EQ(talk.acceptor->message.sentence,
              "B's fabric has a key and A offers none: set NCCL_RELAY_KEY_FILE on A to the fabric's key");
    EXPECT_EQ(talk.by_acceptor, std::vector{SetupType::kRefused});
    EXPECT_FALSE(acceptor.done());
  }
}

TEST_F(Handshake, ARelayThatOffersNoKeyIsNamedToo) {
  OpenMessage open;
  open.route = {{1, 5, "a", "b"}, {5, 2, "c", "d"}};
  open.hop = 1;
  auto step = Acceptor(KeyOf('k')).Receive(SetupType::kOpen, Parse(EncodeOpen(open))[0].body);
  ASSERT_TRUE(step.refused);
  EXPECT_THAT(step.refused->message.sentence, HasSubstr("node 5 offers none"));
  step = Acceptor(KeyOf('k')).Receive(SetupType::kOpen, {});
  ASSERT_TRUE(step.refused);
}

TEST_F(Handshake, AKeyedDiallerIsToldThatTheAcceptorHasNone) {
  auto dialler = Dialler(KeyOf('k'), Open());
  auto acceptor = Acceptor(nullptr);
  Talk talk = Run(dialler, acceptor);
  ASSERT_TRUE(talk.dialler && talk.acceptor);
  EXPECT_EQ(talk.acceptor->reason, Reason::kNoKey);
  EXPECT_EQ(talk.dialler->reason, Reason::kTheirs);
  EXPECT_THAT(talk.dialler->message.sentence, HasSubstr("B has no key"));
  EXPECT_EQ(talk.by_dialler, std::vector{SetupType::kProve});
}

TEST_F(Handshake, AnotherNodeThatHoldsTheKeyIsNotWhoWasCalled) {
  auto dialler = Dialler(KeyOf('k'), Open());
  AcceptorHandshake acceptor(KeyOf('k'), {3, "C"}, RandomNonce(), nullptr);
  Talk talk = Run(dialler, acceptor);
  ASSERT_TRUE(talk.dialler);
  EXPECT_THAT(talk.dialler->message.sentence, HasSubstr("A called B, and C answered"));
  EXPECT_EQ(talk.by_dialler.back(), SetupType::kRefused);
}

// The bytes of a good greeting, message by message.
struct Recording {
  std::vector<std::byte> prove, challenge;
  std::vector<Heard> proof_and_message;
};
Recording Record(DialerHandshake& dialler, AcceptorHandshake& acceptor) {
  Recording out;
  out.prove = Parse(dialler.Begin())[0].body;
  out.challenge = Parse(acceptor.Receive(SetupType::kProve, out.prove).send)[0].body;
  out.proof_and_message = Parse(dialler.Receive(SetupType::kChallenge, out.challenge).send);
  return out;
}

TEST_F(Handshake, AProofPlayedBackToTheSameNodeIsRefused) {
  auto dialler = Dialler(KeyOf('k'), Open());
  auto first = Acceptor(KeyOf('k')), again = Acceptor(KeyOf('k'));
  const Recording r = Record(dialler, first);
  EXPECT_FALSE(again.Receive(SetupType::kProve, r.prove).refused);
  EXPECT_FALSE(again.Receive(SetupType::kProof, r.proof_and_message[0].body).refused);
  auto step = again.Receive(SetupType::kOpen, r.proof_and_message[1].body);
  ASSERT_TRUE(step.refused);
  EXPECT_EQ(step.refused->reason, Reason::kOtherKey);
  EXPECT_FALSE(again.done());
}

TEST_F(Handshake, AProofIsWorthNothingForAnotherMessage) {
  auto dialler = Dialler(KeyOf('k'), Open());
  auto acceptor = Acceptor(KeyOf('k'));
  const Recording r = Record(dialler, acceptor);
  EXPECT_FALSE(acceptor.Receive(SetupType::kProof, r.proof_and_message[0].body).refused);
  auto other = r.proof_and_message[1].body;
  other[16] ^= std::byte{1};  // of the token
  EXPECT_TRUE(acceptor.Receive(SetupType::kOpen, other).refused);
}

TEST_F(Handshake, AProofIsNoProofOfTheOtherSide) {
  // An attacker answers a dialler with what it has from another one: both roles speak over the same words.
  auto dialler = Dialler(KeyOf('k'), Open()), victim = Dialler(KeyOf('k'), Open());
  auto acceptor = Acceptor(KeyOf('k'));
  const Recording r = Record(dialler, acceptor);
  auto forged = r.challenge;
  std::copy(r.proof_and_message[0].body.begin(), r.proof_and_message[0].body.end(), forged.end() - 32);
  victim.Begin();
  EXPECT_EQ(victim.Receive(SetupType::kChallenge, forged).refused->reason, Reason::kOtherKey);
  auto replayed = Dialler(KeyOf('k'), Open());
  replayed.Begin();
  EXPECT_EQ(replayed.Receive(SetupType::kChallenge, r.challenge).refused->reason, Reason::kOtherKey);
}

TEST_F(Handshake, EveryChangedBitOfEveryMessageIsRefused) {
  for (int which = 0; which < 4; ++which) {
    for (size_t bit = 0;; ++bit) {
      auto dialler = Dialler(KeyOf('k'), Open());
      auto acceptor = Acceptor(KeyOf('k'));
      bool refused = false, changed = false;
      auto change = [&](int here, std::vector<std::byte> body) {
        if (here != which || bit / 8 >= body.size()) return body;
        changed = true;
        body[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
        return body;
      };
      auto step = acceptor.Receive(SetupType::kProve, change(0, Parse(dialler.Begin())[0].body));
      refused = step.refused.has_value();
      if (!refused) {
        step = dialler.Receive(SetupType::kChallenge, change(1, Parse(step.send)[0].body));
        refused = step.refused.has_value();
      }
      if (!refused) {
        auto last = Parse(step.send);
        refused = acceptor.Receive(SetupType::kProof, change(2, last[0].body)).refused.has_value() ||
                  acceptor.Receive(SetupType::kOpen, change(3, last[1].body)).refused.has_value();
      }
      if (!changed) break;
      ASSERT_TRUE(refused) << "message " << which << ", bit " << bit;
    }
  }
}

// Every message, with a good body where one fits, in every state of either side: what is not due ends the greeting.
TEST_F(Handshake, EveryMessageInEveryState) {
  for (bool keyed : {false, true}) {
    const auto key = keyed ? KeyOf('k') : nullptr;
    for (int state = 0; state < 4; ++state) {  // of the acceptor: how many messages it has had
      for (uint16_t raw = 1; raw <= static_cast<uint16_t>(SetupType::kFindings); ++raw) {
        const auto type = static_cast<SetupType>(raw);
        auto dialler = Dialler(key, Open());
        auto acceptor = Acceptor(key);
        std::vector<Heard> due = Parse(dialler.Begin());
        if (keyed) {
          auto step = Acceptor(key).Receive(due[0].type, due[0].body);
          (void)step;
          if (state > 0) {
            auto challenge = Parse(acceptor.Receive(due[0].type, due[0].body).send)[0];
            for (Heard& m : Parse(dialler.Receive(challenge.type, challenge.body).send)) due.push_back(std::move(m));
          }
          for (int i = 1; i < state; ++i) EXPECT_FALSE(acceptor.Receive(due[i].type, due[i].body).refused);
        } else if (state > 0) {
          EXPECT_FALSE(acceptor.Receive(due[0].type, due[0].body).refused);
        }
        const size_t next = static_cast<size_t>(state);
        const bool is_due = next < due.size() && due[next].type == type;
        const bool other_first = !keyed && state == 0 && type == SetupType::kSession;
        const std::vector<std::byte> body = is_due ? due[next].body : std::vector<std::byte>(40);
        auto step = acceptor.Receive(type, body);
        EXPECT_EQ(step.refused.has_value(), !is_due && !other_first) << keyed << " " << state << " " << raw;
        if (!step.refused) continue;
        EXPECT_FALSE(step.refused->message.sentence.empty());
        EXPECT_FALSE(acceptor.done() && state < 3);
        // And it stays so: what was refused is not taken up again.
        if (next < due.size()) {
          EXPECT_TRUE(acceptor.Receive(due[next].type, due[next].body).refused);
        }
      }
    }
  }
}

TEST_F(Handshake, TheDiallerTakesNothingButAChallenge) {
  for (uint16_t raw = 1; raw <= static_cast<uint16_t>(SetupType::kFindings); ++raw) {
    const auto type = static_cast<SetupType>(raw);
    auto dialler = Dialler(KeyOf('k'), Open());
    auto acceptor = Acceptor(KeyOf('k'));
    auto challenge = Parse(acceptor.Receive(SetupType::kProve, Parse(dialler.Begin())[0].body).send)[0];
    auto step = dialler.Receive(type, challenge.body);
    EXPECT_EQ(step.refused.has_value(), type != SetupType::kChallenge) << raw;
    EXPECT_EQ(dialler.done(), type == SetupType::kChallenge);
    EXPECT_TRUE(dialler.Receive(SetupType::kChallenge, challenge.body).refused) << "a second one";
  }
}

TEST_F(Handshake, TruncatedAndLongerBodiesAreRefused) {
  auto dialler = Dialler(KeyOf('k'), Open());
  const auto prove = Parse(dialler.Begin())[0].body;
  for (size_t n = 0; n < prove.size(); ++n) {
    EXPECT_TRUE(Acceptor(KeyOf('k')).Receive(SetupType::kProve, std::span(prove).first(n)).refused) << n;
  }
  auto acceptor = Acceptor(KeyOf('k'));
  auto challenge = Parse(acceptor.Receive(SetupType::kProve, prove).send)[0].body;
  for (size_t n = 0; n < challenge.size(); ++n) {
    auto fresh = Dialler(KeyOf('k'), Open());
    fresh.Begin();
    EXPECT_TRUE(fresh.Receive(SetupType::kChallenge, std::span(challenge).first(n)).refused) << n;
  }
  auto longer = prove;
  longer.push_back(std::byte{0});
  EXPECT_TRUE(Acceptor(KeyOf('k')).Receive(SetupType::kProve, longer).refused);
  for (size_t n : {0u, 31u, 33u}) {
    auto again = Acceptor(KeyOf('k'));
    again.Receive(SetupType::kProve, prove);
    EXPECT_TRUE(again.Receive(SetupType::kProof, std::vector<std::byte>(n)).refused) << n;
  }
}

TEST_F(Handshake, ANameThatWouldSpoilALogIsRefused) {
  DialerHandshake dialler(KeyOf('k'), {{1, "A\nWARN all is well"}, {2, "B"}, Open()}, RandomNonce());
  EXPECT_TRUE(Acceptor(KeyOf('k')).Receive(SetupType::kProve, Parse(dialler.Begin())[0].body).refused);
}

}  // namespace
}  // namespace relay::agent
