#include "comm/recovery/absence.h"

#include <gtest/gtest.h>

namespace relay::comm {
namespace {

const TimePoint kNow{std::chrono::hours(1)};
const Absence::End kHungUp{.hung_up = true, .direct = false};
RefusedMessage With(RefusedCode code) {
  RefusedMessage refused;
  refused.code = code;
  return refused;
}

const RefusedMessage kNobody = With(RefusedCode::kNoListener), kSilent = With(RefusedCode::kNoAgent);

TEST(Absence, WhoHasHungUpAndWhoseHostKnowsNoAgentForASecondIsGone) {
  Absence absence;
  EXPECT_FALSE(absence.OnRefused(kNobody, kHungUp, kNow));
  EXPECT_FALSE(absence.OnRefused(kNobody, kHungUp, kNow + std::chrono::milliseconds(900)));
  EXPECT_TRUE(absence.OnRefused(kNobody, kHungUp, kNow + std::chrono::milliseconds(1100)));
}

TEST(Absence, ANeighbourThatHasHungUpAndLeftTheFabricIsGoneAndOneBehindARelayMayNotBe) {
  for (bool direct : {true, false}) {
    Absence absence;
    EXPECT_FALSE(absence.OnRefused(With(RefusedCode::kNoPath), {true, direct}, kNow));
    EXPECT_EQ(absence.OnRefused(With(RefusedCode::kNoPath), {true, direct}, kNow + std::chrono::seconds(2)), direct);
  }
}

TEST(Absence, AnAgentThatComesBackOrACircuitThatWasCutSayNothing) {
  Absence absence;
  EXPECT_FALSE(absence.OnRefused(kNobody, kHungUp, kNow));
  EXPECT_FALSE(absence.OnRefused(With(RefusedCode::kOwnerLives), kHungUp, kNow + std::chrono::milliseconds(500)));
  EXPECT_FALSE(absence.OnRefused(kNobody, kHungUp, kNow + std::chrono::milliseconds(1100)));
  Absence cut;
  for (int s = 0; s < 60; ++s) EXPECT_FALSE(cut.OnRefused(kNobody, {}, kNow + std::chrono::seconds(s)));
  for (int s = 0; s < 60; ++s) EXPECT_FALSE(cut.OnRefused(kSilent, kHungUp, kNow + std::chrono::seconds(s)));
}

}  // namespace
}  // namespace relay::comm
