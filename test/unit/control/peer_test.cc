// Who may be at the other end of a control socket, how it is named, how much it may say.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "control/socket.h"

namespace relay::control {
namespace {

constexpr uid_t kNobody = 65534;

struct Listening {
  Listening() : fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    auto address = AddressOf(name);
    EXPECT_EQ(bind(fd.get(), address->get(), address->size), 0);
    EXPECT_EQ(listen(fd.get(), 4), 0);
  }
  const std::string name = "@nccl-relay-test-" + std::to_string(RandomValue<uint64_t>());
  Fd fd;
};

TEST(CheckPeer, AProcessOfAnotherUserIsNotTalkedToButRootIs) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  Listening server;
  const pid_t pid = fork();
  if (pid == 0) {
    if (setuid(kNobody) != 0) _exit(2);
    auto fd = ConnectSocket(server.name);
    _exit(fd && CheckPeer(fd->get(), "the agent") ? 0 : 1);  // root's agent serves every user
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  Fd accepted(accept4(server.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted);
  auto peer = CheckPeer(accepted.get(), "a client's end");
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().code, ErrorCode::kUsage);
  EXPECT_EQ(peer.error().what.find("a client's end belongs to user 65534 (process " + std::to_string(pid)), 0u)
      << peer.error().what;
}

TEST(CheckPeer, WhatIsNoSocketHasNoPeer) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Fd read(ends[0]), write(ends[1]);
  EXPECT_FALSE(CheckPeer(read.get(), "a pipe"));
}

TEST(AddressOf, TheKernelsLengthIsTheLimit) {
  EXPECT_TRUE(AddressOf("/" + std::string(106, 'x')));
  for (const std::string& name : {std::string(), std::string("@"), "/" + std::string(107, 'x')}) {
    auto address = AddressOf(name);
    ASSERT_FALSE(address) << name;
    EXPECT_EQ(address.error().code, ErrorCode::kUsage);
  }
}

TEST(ReceivePacket, APacketThatIsTooLongIsNotBelieved) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  Fd ours(ends[0]), theirs(ends[1]);
  const std::vector<std::byte> bytes(kMaxPacket + 1);
  ASSERT_EQ(send(theirs.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  auto received = ReceivePacket(ours.get());
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::kRemote);
}

}  // namespace
}  // namespace relay::control
