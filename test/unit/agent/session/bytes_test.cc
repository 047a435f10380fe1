// The bytes of a session's messages, bare and sealed.
#include <gtest/gtest.h>

#include "agent/session/frame.h"
#include "agent/session/message.h"
#include "fake/hex.h"
#include "unit/agent/trust/keys.h"

namespace relay::agent::session_bytes {
namespace {

using fake::Hex;

TEST(SessionBytes, SessionHasThese) {
  EXPECT_EQ(Hex(EncodeBody(SessionMessage{7, "spark", 9, "0.1", "ab", "ba", 21517})),
            "0700000000000000"
            "0500737061726b"
            "0900000000000000"
            "0300302e31"
            "02006162"
            "02006261"
            "0d54");
}

TEST(SessionBytes, SurveyHasThese) {
  EXPECT_EQ(Hex(EncodeBody(SurveyMessage{7, 8, 1000, "flows"})),
            "0700000000000000"
            "0800000000000000"
            "e8030000"
            "0500666c6f7773");
}

TEST(SessionBytes, FindingsHaveThese) {
  EXPECT_EQ(Hex(EncodeBody(FindingsMessage{7, 8, false, {9, "C", "{}"}})),
            "0700000000000000"
            "0800000000000000"
            "0000"
            "0900000000000000"
            "010043"
            "02007b7d");
  EXPECT_EQ(Hex(EncodeBody(FindingsMessage{7, 8, true, {}})),
            "0700000000000000"
            "0800000000000000"
            "0100");
}

// The MACs were computed by other means: keyed BLAKE2b of 32 bytes over the length of the purpose (64 bits), the
// purpose, the number of the message (64 bits), prefix and body.
TEST(SessionBytes, ASealedMessageHasThese) {
  const std::string ping =
      "6e524c59"
      "0500"
      "0900"
      "08000000"
      "0807060504030201";
  const std::byte body[] = {std::byte{8}, std::byte{7}, std::byte{6}, std::byte{5},
                            std::byte{4}, std::byte{3}, std::byte{2}, std::byte{1}};
  FrameWriter dialler(KeyOf('k'), Side::kDialler), acceptor(KeyOf('k'), Side::kAcceptor), open(nullptr, Side::kDialler);
  EXPECT_EQ(Hex(dialler.Encode(SetupType::kPing, body)),
            ping + "6c8cb7f5e59afd8113d8fbc1122aeb1b820ea45ae3969ff910a89544178f631d");
  EXPECT_EQ(Hex(dialler.Encode(SetupType::kPing, body)),
            ping + "20a377ffd66f56b7767e9e0a0b0d755f7d7bb8ae9132468486cc57fd094311fc");
  EXPECT_EQ(Hex(acceptor.Encode(SetupType::kPing, body)),
            ping + "a010e9c447559cf176dbe2446938d4d6b3f1c85b2405c5064e6aa2a0897f30dc");
  EXPECT_EQ(Hex(open.Encode(SetupType::kPing, body)), ping);
}

}  // namespace
}  // namespace relay::agent::session_bytes
