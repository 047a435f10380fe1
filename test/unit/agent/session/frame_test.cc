#include "agent/session/frame.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace relay::agent::session_frame {
namespace {

std::shared_ptr<const Key> Secret(char letter = 's') {
  const std::string text(32, letter);
  return Key::FromBytes(std::as_bytes(std::span(text)));
}

std::vector<std::byte> Text(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
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

TEST_F(SealedFrames, AreTakenOnlyInTheirOrderAndOnceEach) {
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

TEST_F(SealedFrames, AreTakenOnlyFromTheOtherSideAndOfThisCall) {
  const auto m = Three();
  EXPECT_FALSE(Taken({m[0]}, Side::kAcceptor));
  EXPECT_FALSE(Taken({m[0]}, Side::kDialler, 'z'));
}

TEST_F(SealedFrames, AreRefusedWhenAnyBitIsChanged) {
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

}  // namespace
}  // namespace relay::agent::session_frame
