// A neighbour, made of its address and no agent, that takes a call and does not open the circuit: is another path
// tried?
#include <gmock/gmock.h>

#include "unit/agent/agents.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;

class Detour : public AgentsTest {
 protected:
  Detour() {
    for (size_t i : {0, 2, 3}) Start(OptionsFor(square_, i));
    a_ = ClientOf("A");
    c_ = ClientOf("C");
  }

  // Takes the next call, hears its OPEN and says this.
  void Answer(const std::vector<std::byte>& bytes) {
    ASSERT_TRUE(WaitFor(b_.fd(), POLLIN));
    auto call = b_.Accept();
    ASSERT_TRUE(call && *call);
    const int fd = (**call).fd.get();
    SetupReader reader;
    while (true) {
      ASSERT_TRUE(WaitFor(fd, POLLIN));
      auto progress = reader.Read(fd);
      ASSERT_TRUE(progress) << progress.error().what;
      if (*progress == Progress::kDone) break;
    }
    EXPECT_EQ(reader.type(), SetupType::kOpen);
    EXPECT_TRUE(WriteWhole(fd, bytes));
  }
  std::vector<std::byte> Refusal(RefusedCode code) const {
    return EncodeRefused({square_.nodes[1].id, false, code, "not here"});
  }

  const fabric::Fabric square_ = SquareOnLo();
  transport::tcp::Listener b_ =
      std::move(*transport::tcp::Listener::Open("lo", square_.nodes[1].ports[0].addresses[0].WithPort(port_), {}));
  std::unique_ptr<control::Client> a_, c_;
};

TEST_F(Detour, LeadsAroundARelayThatCannotServe) {
  for (auto code : {RefusedCode::kLinkDown, RefusedCode::kNoAgent, RefusedCode::kNoListener, RefusedCode::kLimit,
                    RefusedCode::kDraining, RefusedCode::kTimeout}) {
    std::thread answering([&] { Answer(Refusal(code)); });
    const Circuit circuit = Open(*a_, *c_, To(square_, 2, RandomValue<Token>()));
    answering.join();
    EXPECT_EQ(circuit.connected.path, "A lo:1--lo:1 D lo--lo:1 C") << static_cast<int>(code);
    EXPECT_EQ(circuit.connected.note, "path A lo--lo B lo:1--lo C does not serve: not here");
  }
}

TEST_F(Detour, IsNotTakenForWhatIsTheSameOnEveryWay) {
  for (auto code : {RefusedCode::kForbidden, RefusedCode::kOwnerGone, RefusedCode::kUnknownToken}) {
    ASSERT_TRUE(a_->Send({77, To(square_, 2, RandomValue<Token>())}));
    Answer(Refusal(code));
    const RefusedMessage refused = RefusedBy(*a_);
    EXPECT_EQ(refused.code, code);
    EXPECT_EQ(refused.node, square_.nodes[1].id);
  }
}

TEST_F(Detour, IsNoCureForANeighbourOfAnotherVersion) {
  std::vector<std::byte> newer = Refusal(RefusedCode::kLimit);
  newer[4] = static_cast<std::byte>(std::to_integer<int>(newer[4]) + 1);  // after the magic
  ASSERT_TRUE(a_->Send({77, To(square_, 2, RandomValue<Token>())}));
  Answer(newer);
  const RefusedMessage refused = RefusedBy(*a_);
  EXPECT_EQ(refused.code, RefusedCode::kVersion);
  EXPECT_TRUE(refused.final) << "it is the same the next time";
  EXPECT_THAT(refused.sentence, HasSubstr("link A-B, while a circuit to C was set up: "));
  EXPECT_THAT(refused.sentence, HasSubstr("install the same nccl-relay on both"));
}

}  // namespace
}  // namespace relay::agent
