#include "agent/clients/token_registry.h"

#include <gtest/gtest.h>

#include <cstring>

namespace relay::agent::token_registry {
namespace {

Token TokenOf(uint32_t n) {
  Token token{};
  std::memcpy(token.data(), &n, sizeof n);
  return token;
}

TEST(TokenRegistry, KnowsOwnersAndRemembersWhoIsGone) {
  TokenRegistry tokens;
  using Standing = TokenRegistry::Standing;
  EXPECT_EQ(tokens.Find(TokenOf(1)).standing, Standing::kUnknown);
  tokens.Register(TokenOf(1), 7);
  tokens.Register(TokenOf(2), 7);
  tokens.Register(TokenOf(3), 8);
  EXPECT_EQ(tokens.Find(TokenOf(1)).owner, 7u);
  tokens.Unregister(TokenOf(1), 8);  // not its own
  EXPECT_EQ(tokens.Find(TokenOf(1)).standing, Standing::kOwned);
  tokens.DropOwner(7);
  EXPECT_EQ(tokens.Find(TokenOf(1)).standing, Standing::kGone);
  EXPECT_EQ(tokens.Find(TokenOf(2)).standing, Standing::kGone);
  EXPECT_EQ(tokens.Find(TokenOf(3)).standing, Standing::kOwned);
  tokens.Register(TokenOf(1), 9);
  EXPECT_EQ(tokens.Find(TokenOf(1)).owner, 9u);
}

TEST(TokenRegistry, WakesEveryWaiterOnceAlsoThoseThatEndEachOther) {
  TokenRegistry tokens;
  int woken = 0;
  TokenRegistry::WaitId third = 0;
  tokens.Wait(TokenOf(1), [&](ClientId) {
    ++woken;
    tokens.StopWaiting(third);
  });
  tokens.Wait(TokenOf(2), [&](ClientId) { woken += 100; });
  tokens.Wait(TokenOf(1), [&](ClientId owner) { woken += owner == 5 ? 1 : 100; });
  third = tokens.Wait(TokenOf(1), [&](ClientId) { woken += 100; });
  tokens.Register(TokenOf(1), 5);
  EXPECT_EQ(woken, 2);
  tokens.Register(TokenOf(1), 6);
  EXPECT_EQ(woken, 2);
}

TEST(TokenRegistry, OneProcessMayHaveSoMany) {
  TokenRegistry tokens;
  for (uint32_t i = 0; i < TokenRegistry::kMostOfOne; ++i) ASSERT_TRUE(tokens.Register(TokenOf(i), 1));
  EXPECT_FALSE(tokens.Register(TokenOf(1u << 30), 1));
  EXPECT_TRUE(tokens.Register(TokenOf(7), 1)) << "it has it";
  EXPECT_TRUE(tokens.Register(TokenOf(1u << 30), 2)) << "others have their own";
  tokens.Unregister(TokenOf(3), 1);
  EXPECT_TRUE(tokens.Register(TokenOf(1u << 29), 1));
  tokens.DropOwner(1);
  EXPECT_TRUE(tokens.Register(TokenOf(5), 1));
  EXPECT_EQ(tokens.size(), 2u);
}

}  // namespace
}  // namespace relay::agent::token_registry
