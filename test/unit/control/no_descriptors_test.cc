// The control socket in a process that has used up its descriptors.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "control/client.h"
#include "fake/no_descriptors.h"

namespace relay::control {
namespace {

TEST(NoDescriptors, ACircuitThatCannotBeTakenNamesTheLimit) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  Fd ours(ends[0]), theirs(ends[1]);
  ASSERT_TRUE(SendPacket(theirs.get(), Encode({0, Arrived{{}, "A ab--ba B"}}), STDERR_FILENO));
  fake::NoDescriptors none;
  auto received = ReceivePacket(ours.get());
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::kSystem);
  EXPECT_NE(received.error().what.find("ulimit -n"), std::string::npos) << received.error().what;
}

TEST(NoDescriptors, NoAgentIsAskedOrStarted) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  fake::NoDescriptors none;
  SystemClock clock;
  for (bool start : {false, true}) {
    auto client = Client::Connect({.socket = "@nccl-relay-test-nobody",
                                   .start_agent = start,
                                   .agent_log = "",
                                   .agent_program = "/bin/true",
                                   .deadline = std::chrono::seconds(10)},
                                  clock);
    ASSERT_FALSE(client);
    EXPECT_NE(client.error().what.find("Too many open files"), std::string::npos) << client.error().what;
  }
}

}  // namespace
}  // namespace relay::control
