#include "agent/node/refusal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/agents.h"
#include "unit/agent/nodes_on_lo.h"

namespace relay::agent::refusal {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Refusal, OnlyThroughIsTrueOnlyOfBridges) {
  auto chain = ChainOnLo(4);
  EXPECT_TRUE(OnlyThrough(chain, {0, 3, 1}));
  EXPECT_TRUE(OnlyThrough(chain, {0, 3, 2}));
  EXPECT_FALSE(OnlyThrough(chain, {0, 1, 2}));
  EXPECT_FALSE(OnlyThrough(chain, {0, 3, 3}));
  chain.links.push_back({{0, 0}, {3, 0}, 0, 0, fabric::PortKind::kTcp});
  EXPECT_FALSE(OnlyThrough(chain, {0, 3, 1}));
}

TEST(Refusal, OnARingItDoesNotSayOnly) {
  auto ring = ChainOnLo(4);
  OpenMessage open = OpenAlong(ring, 0, 3, 0);
  ring.links.push_back({{0, 0}, {3, 0}, 0, 0, fabric::PortKind::kTcp});
  auto refused = RefuseUnanswered(NodeOf(ring, 0), {open, "1.2.3.4:5 on ab: Connection refused", ECONNREFUSED});
  EXPECT_EQ(refused.sentence,
            "D is joined to A through B, where no agent answers over link A-B (1.2.3.4:5 on ab: Connection refused): "
            "start `nccl-relay agent` there");
}

TEST(Refusal, WhereNothingAnswersItMayBeTheCable) {
  auto chain = ChainOnLo(2);
  OpenMessage open = OpenAlong(chain, 0, 1, 0);
  auto refused = RefuseUnanswered(NodeOf(chain, 0), {open, "1.2.3.4:5 on ab: Connection timed out", ETIMEDOUT});
  EXPECT_EQ(refused.sentence,
            "no agent answers on B over link A-B (1.2.3.4:5 on ab: Connection timed out): check the cable, and that "
            "`nccl-relay agent` runs there");
}

TEST(Refusal, WhyADialFailedDecidesTheCode) {
  const auto pair = ChainOnLo(2), chain = ChainOnLo(3);
  const auto code = [](const fabric::Fabric& fabric, int err) {
    const auto refused =
        RefuseUnanswered(NodeOf(fabric, 0), {OpenAlong(fabric, 0, fabric.nodes.size() - 1, 0), "", err});
    EXPECT_FALSE(refused.final) << err << ": it may be another way soon";
    return refused.code;
  };
  for (int err : {ENETDOWN, ENETUNREACH, ENODEV, EADDRNOTAVAIL}) EXPECT_EQ(code(pair, err), RefusedCode::kLinkDown);
  for (int err : {EMFILE, ENFILE}) EXPECT_EQ(code(pair, err), RefusedCode::kLimit);
  for (int err : {ETIMEDOUT, EHOSTUNREACH}) EXPECT_EQ(code(pair, err), RefusedCode::kNoAgent);
  EXPECT_EQ(code(pair, ECONNREFUSED), RefusedCode::kNoListener) << "the destination's host says that nobody listens";
  EXPECT_EQ(code(chain, ECONNREFUSED), RefusedCode::kNoAgent) << "a relay's host says so";
}

TEST(Refusal, TwoFabricsAreNotOneForAllTrying) {
  const auto refused = RefuseDisagreement(NodeOf(ChainOnLo(2), 0), {101, "B", 7});
  EXPECT_EQ(refused.code, RefusedCode::kAgreement);
  EXPECT_TRUE(refused.final);
  EXPECT_THAT(refused.sentence, HasSubstr("A and B hold different fabrics"));
}

TEST(Refusal, SilenceMayHaveAnotherCause) {
  auto chain = ChainOnLo(2);
  OpenMessage open = OpenAlong(chain, 0, 1, 0);
  EXPECT_THAT(RefuseUnanswered(NodeOf(chain, 0), {open, "no answer", ETIMEDOUT, "B is deaf: shout"}).sentence,
              HasSubstr("runs there; B is deaf: shout"));
  EXPECT_THAT(RefuseUnanswered(NodeOf(chain, 0), {open, "refused", ECONNREFUSED, "B is deaf: shout"}).sentence,
              Not(HasSubstr("deaf")));
}

TEST(Refusal, ALinkThatIsDownHereIsSaidToBeDown) {
  auto chain = ChainOnLo(3);
  auto refused = RefuseUnanswered(NodeOf(chain, 1), {OpenAlong(chain, 0, 2, 1), "Network is down", ENETDOWN});
  EXPECT_EQ(refused.code, RefusedCode::kLinkDown);
  EXPECT_FALSE(refused.final);
  EXPECT_THAT(refused.sentence, HasSubstr("link B-C is down at B (Network is down)"));
}

}  // namespace
}  // namespace relay::agent::refusal
