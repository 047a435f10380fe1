// The client against an agent that the test itself plays.
#include "control/client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/random.h"

namespace relay::control {
namespace {

constexpr int kPatienceMs = 20000;

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, kPatienceMs) == 1;
}

std::string FreshName() { return "@nccl-relay-test-" + std::to_string(RandomValue<uint64_t>()); }

class PlayedAgent {
 public:
  explicit PlayedAgent(const std::string& name) : listener_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    auto address = AddressOf(name);
    EXPECT_EQ(bind(listener_.get(), address->get(), address->size), 0);
    EXPECT_EQ(listen(listener_.get(), 16), 0);
  }

  // Accepts one client, takes its HELLO and says `answer`.
  Fd Serve(const Message& answer) {
    Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(Readable(fd.get()));
    auto hello = ReceivePacket(fd.get());
    EXPECT_TRUE(hello && *hello && std::holds_alternative<Hello>((*hello)->packet.message));
    EXPECT_TRUE(SendPacket(fd.get(), Encode({(*hello)->packet.request, answer})));
    return fd;
  }
  Fd Accept() { return Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }

 private:
  Fd listener_;
};

Welcome SomeWelcome() {
  Welcome welcome;
  welcome.node_name = "A";
  welcome.devices = {{"relay0", "", 0}};
  return welcome;
}

class ControlClient : public testing::Test {
 protected:
  ClientOptions Options() {
    ClientOptions options;
    options.socket = name_;
    options.start_agent = false;
    options.deadline = std::chrono::milliseconds(kPatienceMs);
    return options;
  }

  std::string name_ = FreshName();
  SystemClock clock_;
};

TEST_F(ControlClient, IsWelcomedAndTalksBothWays) {
  PlayedAgent agent(name_);
  Fd server;
  std::thread serving([&] { server = agent.Serve(SomeWelcome()); });
  auto client = Client::Connect(Options(), clock_);
  serving.join();
  ASSERT_TRUE(client) << client.error().what;
  EXPECT_EQ((*client)->welcome().node_name, "A");
  EXPECT_EQ((*client)->agent_pid(), getpid());
  auto nothing = (*client)->Receive();
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);

  ASSERT_TRUE((*client)->Send({5, Query{"transit"}}));
  ASSERT_TRUE(Readable(server.get()));
  auto query = ReceivePacket(server.get());
  ASSERT_TRUE(query && *query);
  EXPECT_EQ(std::get<Query>((*query)->packet.message).question, "transit");

  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Fd kept(ends[0]), passed(ends[1]);
  ASSERT_TRUE(SendPacket(server.get(), Encode({5, Connected{}}), passed.get()));
  ASSERT_TRUE(Readable((*client)->fd()));
  auto connected = (*client)->Receive();
  ASSERT_TRUE(connected && *connected);
  ASSERT_TRUE((*connected)->fd);
  EXPECT_TRUE(fcntl((*connected)->fd.get(), F_GETFD) & FD_CLOEXEC);
  ASSERT_EQ(write((*connected)->fd.get(), "x", 1), 1);
  EXPECT_TRUE(Readable(kept.get()));

  server.reset();
  ASSERT_TRUE(Readable((*client)->fd()));
  auto gone = (*client)->Receive();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kRemote);
}

TEST_F(ControlClient, APacketWithoutItsDescriptorOrWithOneTooManyEndsTheConversation) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  Fd a(ends[0]), b(ends[1]);
  ASSERT_TRUE(SendPacket(a.get(), Encode({1, Connected{}})));
  EXPECT_FALSE(ReceivePacket(b.get()));
  ASSERT_TRUE(SendPacket(a.get(), Encode({1, Cancel{}}), a.get()));
  EXPECT_FALSE(ReceivePacket(b.get()));
  ASSERT_EQ(send(a.get(), "junk", 4, 0), 4);
  EXPECT_FALSE(ReceivePacket(b.get()));
}

TEST_F(ControlClient, WhatTheAgentDoesNotTakeNowWaitsInOrderAndIsBounded) {
  PlayedAgent agent(name_);
  Fd server;
  std::thread serving([&] { server = agent.Serve(SomeWelcome()); });
  auto client = Client::Connect(Options(), clock_);
  serving.join();
  ASSERT_TRUE(client);
  uint64_t sent = 0;
  while (!(*client)->wants_write()) ASSERT_TRUE((*client)->Send({sent++, Cancel{}}));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE((*client)->Send({sent++, Cancel{}}));
  for (uint64_t i = 0; i < sent; ++i) {
    ASSERT_TRUE((*client)->Flush());
    ASSERT_TRUE(Readable(server.get()));
    auto packet = ReceivePacket(server.get());
    ASSERT_TRUE(packet && *packet);
    ASSERT_EQ((*packet)->packet.request, i);
  }
  EXPECT_FALSE((*client)->wants_write());
  Status status;
  for (int i = 0; i < 100000 && status; ++i) status = (*client)->Send({1, Cancel{}});
  EXPECT_FALSE(status);
}

TEST_F(ControlClient, ARefusalToTalkIsTold) {
  PlayedAgent agent(name_);
  std::thread serving([&] { agent.Serve(Failed{{0, true, RefusedCode::kVersion, "speak version 9"}}); });
  auto client = Client::Connect(Options(), clock_);
  serving.join();
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().what, "speak version 9");
}

TEST_F(ControlClient, AnAgentTooFarAheadIsNotUsed) {
  PlayedAgent agent(name_);
  Welcome newer = SomeWelcome();
  newer.version = kVersion + 1;
  newer.build = "9.9";
  std::thread serving([&] { agent.Serve(newer); });
  auto client = Client::Connect(Options(), clock_);
  serving.join();
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().what.find("9.9"), std::string::npos) << client.error().what;
}

TEST_F(ControlClient, AnAgentThatNeverAnswersIsNamedAtTheDeadline) {
  PlayedAgent agent(name_);
  ClientOptions options = Options();
  options.deadline = std::chrono::milliseconds(50);
  auto client = Client::Connect(options, clock_);
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().what.find("process " + std::to_string(getpid())), std::string::npos) << client.error().what;
}

TEST_F(ControlClient, WithoutAnAgentItSaysWhatToStart) {
  auto client = Client::Connect(Options(), clock_);
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().what.find("start `nccl-relay agent`"), std::string::npos) << client.error().what;
  EXPECT_NE(client.error().what.find(name_), std::string::npos);
}

// A program that plays the agent which the client starts.
class StartedAgent : public ControlClient {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/nccl-relay-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    unlink(Program().c_str());
    unlink(Trace().c_str());
    rmdir(folder_.c_str());
  }
  std::string Program() const { return folder_ + "/agent"; }
  std::string Trace() const { return folder_ + "/trace"; }

  Result<std::unique_ptr<Client>> ConnectThrough(const std::string& script) {
    FILE* file = fopen(Program().c_str(), "we");
    EXPECT_NE(file, nullptr);
    fputs(("#!/bin/sh\n" + script).c_str(), file);
    fclose(file);
    chmod(Program().c_str(), 0755);
    ClientOptions options = Options();
    options.start_agent = true;
    options.agent_program = Program();
    return Client::Connect(options, clock_);
  }
  std::string folder_;
};

TEST_F(StartedAgent, WhatTheAgentSaysOfItselfIsPassedOn) {
  auto client = ConnectThrough("echo 'fabric.json:7: node B has no port' >&3; exit 1\n");
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::kUsage);
  EXPECT_NE(client.error().what.find("fabric.json:7: node B has no port"), std::string::npos) << client.error().what;
}

TEST_F(StartedAgent, AnAgentThatEndsWithoutAWordIsNamed) {
  auto client = ConnectThrough("exit 42\n");
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().what.find("exit status 42"), std::string::npos) << client.error().what;
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child was left behind";
}

TEST_F(StartedAgent, GetsItsArgumentsAndNoDescriptorOfTheHost) {
  int leaky = open(folder_.c_str(), O_RDONLY | O_DIRECTORY);  // without O_CLOEXEC, as host programs do
  auto client = ConnectThrough("echo \"$* $(ls -l /proc/$$/fd | grep -c '" + folder_ + "$')\" > " + Trace() +
                               "; echo enough >&3\n");
  close(leaky);
  ASSERT_FALSE(client);
  FILE* file = fopen(Trace().c_str(), "re");
  ASSERT_NE(file, nullptr);
  char text[256] = "";
  ASSERT_NE(fgets(text, sizeof text, file), nullptr);
  fclose(file);
  EXPECT_STREQ(text, "agent --auto --status-fd 3 0\n");
}

TEST_F(StartedAgent, AProgramThatIsNotThereIsNamed) {
  ClientOptions options = Options();
  options.start_agent = true;
  options.agent_program = folder_ + "/none";
  auto client = Client::Connect(options, clock_);
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().what.find(folder_ + "/none"), std::string::npos) << client.error().what;
}

TEST_F(StartedAgent, AnAgentThatIsNeverReadyMeetsTheDeadline) {
  FILE* file = fopen(Program().c_str(), "we");
  ASSERT_NE(file, nullptr);
  fputs("#!/bin/sh\nexec sleep 60\n", file);
  fclose(file);
  chmod(Program().c_str(), 0755);
  ClientOptions options = Options();
  options.start_agent = true;
  options.agent_program = Program();
  options.deadline = std::chrono::milliseconds(200);
  auto client = Client::Connect(options, clock_);
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().what.find("not ready in time"), std::string::npos) << client.error().what;
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child was left behind";
}

}  // namespace
}  // namespace relay::control
