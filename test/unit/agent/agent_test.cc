// An agent's dealings with clients, strangers and other agents; and the program around it.
#include "agent/agent.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "agent/daemon/main_entry.h"
#include "unit/agent/agents.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;

class AgentAlone : public AgentsTest {
 protected:
  // A connection to B's port as if it came from A, without an agent there.
  Fd CallB() {
    auto from = chain_.nodes[0].ports[0].addresses[0];
    auto to = chain_.nodes[1].ports[0].addresses[0].WithPort(port_);
    auto fd = transport::tcp::StartDial({"lo", from, to}, {});
    EXPECT_TRUE(fd) << fd.error().what;
    EXPECT_TRUE(WaitFor(fd->get(), POLLOUT));
    return std::move(*fd);
  }
  OpenMessage OpenToB() {
    OpenMessage open;
    open.token = token_;
    open.source = chain_.nodes[0].id;
    open.source_name = "A";
    open.agreement = fabric::AgreementHash(chain_);
    open.route = fabric::RouteOf(chain_, *fabric::FindPath(chain_, 0, 1));
    return open;
  }
  RefusedMessage RefusedOn(int fd) {
    SetupReader reader;
    while (WaitFor(fd, POLLIN)) {
      auto progress = reader.Read(fd);
      EXPECT_TRUE(progress) << progress.error().what;
      if (!progress) return {};
      if (*progress == Progress::kDone) break;
    }
    EXPECT_EQ(reader.type(), SetupType::kRefused);
    auto refused = DecodeRefused(reader.body());
    return refused ? *refused : RefusedMessage{};
  }

  const fabric::Fabric chain_ = ChainOnLo(3);
  const Token token_ = RandomValue<Token>();
};

TEST_F(AgentAlone, WelcomesWithItsNode) {
  Start(OptionsFor(chain_, 1));
  auto client = ClientOf("B");
  const auto& welcome = client->welcome();
  EXPECT_EQ(welcome.node_name, "B");
  EXPECT_EQ(welcome.node, chain_.nodes[1].id);
  EXPECT_EQ(welcome.port, port_);
  EXPECT_EQ(welcome.agreement, fabric::AgreementHash(chain_));
  EXPECT_FALSE(welcome.auto_started);
  ASSERT_EQ(welcome.devices.size(), 1u);
  EXPECT_EQ(welcome.devices[0].speed_mbit, 1000u);
}

TEST_F(AgentAlone, ServesClientsOneVersionApartAndNoOthers) {
  Start(OptionsFor(chain_, 1));
  for (uint16_t version = 0; version < control::kVersion + 3; ++version) {
    auto fd = control::ConnectSocket(SocketOf("B"));
    ASSERT_TRUE(fd);
    ASSERT_TRUE(control::SendPacket(fd->get(), control::Encode({9, control::Hello{version, "x.y"}})));
    ASSERT_TRUE(WaitFor(fd->get(), POLLIN));
    auto reply = control::ReceivePacket(fd->get());
    ASSERT_TRUE(reply && *reply);
    EXPECT_EQ((*reply)->packet.request, 9u);
    bool welcome = std::holds_alternative<control::Welcome>((*reply)->packet.message);
    EXPECT_EQ(welcome, version + 1 >= control::kVersion && version <= control::kVersion + 1) << version;
    if (welcome) {
      EXPECT_EQ(std::get<control::Welcome>((*reply)->packet.message).version, std::min(version, control::kVersion));
    } else {
      EXPECT_THAT(std::get<control::Failed>((*reply)->packet.message).refused.sentence, HasSubstr("x.y"));
      EXPECT_TRUE(AtEnd(fd->get()));
    }
  }
}

TEST_F(AgentAlone, AClientThatTalksNonsenseIsDroppedAndOthersAreNot) {
  Start(OptionsFor(chain_, 1));
  auto good = ClientOf("B");
  for (bool greeted : {false, true}) {
    auto fd = control::ConnectSocket(SocketOf("B"));
    ASSERT_TRUE(fd);
    if (greeted) {
      ASSERT_TRUE(control::SendPacket(fd->get(), control::Encode({0, control::Hello{}})));
      ASSERT_TRUE(WaitFor(fd->get(), POLLIN));
      ASSERT_TRUE(control::ReceivePacket(fd->get()));
    }
    ASSERT_EQ(send(fd->get(), "nonsense", 8, 0), 8);
    EXPECT_TRUE(AtEnd(fd->get()));
  }
  auto answer = control::Ask(*good, "transit", kPatience, clock_);
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, "0");
}

TEST_F(AgentAlone, AnswersItsQuestionsAndKnowsNoOthers) {
  Start(OptionsFor(chain_, 1));
  EXPECT_EQ(Ask("B", "fabric"), fabric::PrintFabric(chain_));
  EXPECT_THAT(Ask("B", "status"), HasSubstr("\"name\":\"B\""));
  EXPECT_THAT(Ask("B", "status"), HasSubstr("\"counters\":{\"messages_sent\":0"));
  auto client = ClientOf("B");
  auto answer = control::Ask(*client, "weather", kPatience, clock_);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().what, HasSubstr("weather"));
}

TEST_F(AgentAlone, NamesTheNeighboursThatDoNotAnswer) {
  Start(OptionsFor(chain_, 1));
  Start(OptionsFor(chain_, 0));
  EXPECT_EQ(Ask("B", "neighbours"), "C does not answer on B-C (" +
                                        chain_.nodes[2].ports[0].addresses[0].WithPort(port_).ToText() +
                                        " on lo: Connection refused): start `nccl-relay agent` there");
  Start(OptionsFor(chain_, 2));
  EXPECT_EQ(Ask("B", "neighbours"), "all neighbours answer");
  // Asking is no misbehaviour.
  EXPECT_EQ(Counter("A", &Counters::circuits_refused), 0u);
}

TEST_F(AgentAlone, OnlyOneAgentHasAName) {
  Start(OptionsFor(chain_, 1));
  std::optional<ControlSocket::Taken> taken;
  auto second = ControlSocket::Bind({SocketOf("B")}, taken);
  ASSERT_FALSE(second);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->pid, getpid());
  EXPECT_THAT(second.error().what, HasSubstr("process " + std::to_string(getpid())));
}

TEST_F(AgentAlone, AStaleSocketFileIsReplacedAndALiveOneIsNot) {
  char folder[] = "/tmp/nccl-relay-test-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/agent.sock";
  std::optional<ControlSocket::Taken> taken;
  {
    Fd stale(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    auto address = control::AddressOf(path);
    ASSERT_EQ(bind(stale.get(), address->get(), address->size), 0);
  }
  {
    auto first = ControlSocket::Bind({path}, taken);
    ASSERT_TRUE(first) << first.error().what;
    struct stat facts {};
    ASSERT_EQ(stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0600u);
    EXPECT_FALSE(ControlSocket::Bind({path}, taken));
    EXPECT_TRUE(taken);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  unlink((path + ".lock").c_str());
  rmdir(folder);
}

// A name that was mistyped costs nobody a file.
TEST_F(AgentAlone, WhatIsNoSocketIsLeftAlone) {
  char folder[] = "/tmp/nccl-relay-test-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string file = std::string(folder) + "/model.bin", link = std::string(folder) + "/link";
  Fd made(open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_EQ(write(made.get(), "weights", 7), 7);
  ASSERT_EQ(symlink(file.c_str(), link.c_str()), 0);
  for (const std::string& name : {file, link, std::string(folder)}) {
    std::optional<ControlSocket::Taken> taken;
    auto bound = ControlSocket::Bind({name}, taken);
    ASSERT_FALSE(bound) << name;
    EXPECT_EQ(bound.error().what.find(name + " is there and is no socket"), 0u) << bound.error().what;
    struct stat facts {};
    EXPECT_EQ(lstat(name.c_str(), &facts), 0);
    EXPECT_NE(access((name + ".lock").c_str(), F_OK), 0) << "nothing is left beside it";
  }
  EXPECT_EQ(lseek(made.get(), 0, SEEK_END), 7);
  for (const std::string& name : {link, file}) unlink(name.c_str());
  EXPECT_EQ(rmdir(folder), 0);
}

TEST_F(AgentAlone, RefusesAnotherVersionInWords) {
  Start(OptionsFor(chain_, 1));
  auto bytes = EncodeOpen(OpenToB());
  bytes[4] = std::byte{9};
  Fd fd = CallB();
  ASSERT_TRUE(WriteWhole(fd.get(), bytes));
  auto refused = RefusedOn(fd.get());
  EXPECT_EQ(refused.code, RefusedCode::kVersion);
  EXPECT_TRUE(refused.final);
  EXPECT_THAT(refused.sentence, HasSubstr("version 9"));
}

TEST_F(AgentAlone, SurvivesWhateverStrangersSend) {
  Start(OptionsFor(chain_, 1));
  auto good = EncodeOpen(OpenToB());
  auto oversize = good;
  oversize[11] = std::byte{0x7f};
  auto unreadable = good;
  unreadable.resize(good.size() - 1);
  unreadable[8] = static_cast<std::byte>(good.size() - 1 - kSetupPrefixBytes);
  std::vector<std::vector<std::byte>> hostile = {oversize, unreadable, EncodeOpened({}), std::vector<std::byte>(64)};
  for (const auto& bytes : hostile) {
    Fd fd = CallB();
    WriteWhole(fd.get(), bytes);
    // Refused or hung up on, but over.
    EXPECT_TRUE(Eventually([&] {
      char room[256];
      ssize_t n = recv(fd.get(), room, sizeof room, MSG_DONTWAIT);
      return n == 0 || (n < 0 && errno == ECONNRESET);
    }));
  }
  EXPECT_GE(Counter("B", &Counters::circuits_refused), hostile.size());
  EXPECT_TRUE(HalfOpenBecomes("B", 0));
  auto client = ClientOf("B");
  ASSERT_TRUE(client->Send({0, control::Register{token_}}));
  Fd fd = CallB();
  ASSERT_TRUE(WriteWhole(fd.get(), good));
  EXPECT_TRUE(std::holds_alternative<control::Arrived>(Next(*client).packet.message));
}

TEST_F(AgentAlone, AnOpenInSmallPiecesIsRead) {
  Start(OptionsFor(chain_, 1));
  auto client = ClientOf("B");
  ASSERT_TRUE(client->Send({0, control::Register{token_}}));
  Fd fd = CallB();
  for (std::byte b : EncodeOpen(OpenToB())) ASSERT_TRUE(WriteWhole(fd.get(), std::span(&b, 1)));
  EXPECT_TRUE(std::holds_alternative<control::Arrived>(Next(*client).packet.message));
}

TEST_F(AgentAlone, WhoTalksBeforeTheCircuitIsOpenIsHungUpOn) {
  Start(OptionsFor(chain_, 1));
  Fd fd = CallB();
  ASSERT_TRUE(WriteWhole(fd.get(), EncodeOpen(OpenToB())));
  ASSERT_TRUE(HalfOpenBecomes("B", 1));
  ASSERT_EQ(send(fd.get(), "too early", 9, 0), 9);
  EXPECT_TRUE(HalfOpenBecomes("B", 0));
}

TEST_F(AgentAlone, HalfOpenCallsAreBoundedAndTheOldestGives) {
  Start(OptionsFor(chain_, 1));
  std::vector<Fd> calls;
  for (int i = 0; i < 1030; ++i) calls.push_back(CallB());
  EXPECT_TRUE(AtEnd(calls.front().get()));
  EXPECT_TRUE(HalfOpenBecomes("B", 1024));
  auto client = ClientOf("B");
  ASSERT_TRUE(client->Send({0, control::Register{token_}}));
  ASSERT_TRUE(WriteWhole(calls.back().get(), EncodeOpen(OpenToB())));
  EXPECT_TRUE(std::holds_alternative<control::Arrived>(Next(*client).packet.message));
}

bool IsBound(const std::string& name) {
  FILE* file = fopen("/proc/net/unix", "re");
  char line[512];
  bool found = false;
  while (file != nullptr && fgets(line, sizeof line, file) != nullptr)
    found |= std::strstr(line, name.c_str()) != nullptr;
  if (file != nullptr) fclose(file);
  return found;
}

// The program, in a process of its own.
class AgentProgram : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/nccl-relay-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    unlink((folder_ + "/fabric.json").c_str());
    rmdir(folder_.c_str());
  }
  void Declare(const std::string& text) {
    FILE* file = fopen((folder_ + "/fabric.json").c_str(), "we");
    ASSERT_NE(file, nullptr);
    fputs(text.c_str(), file);
    fclose(file);
    environment_["NCCL_RELAY_FABRIC"] = folder_ + "/fabric.json";
  }

  struct Started {
    pid_t pid = 0;
    Fd status;
  };
  Started Begin(std::vector<std::string> words) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
      for (const auto& [name, value] : environment_) setenv(name.c_str(), value.c_str(), 1);
      int status = dup2(ends[1], 200);
      // Without exec, nothing else closes what the test has open.
      close_range(3, 199, 0);
      close_range(201, ~0U, 0);
      dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
      words.insert(words.begin(), "agent");
      words.insert(words.end(), {"--status-fd", std::to_string(status)});
      std::vector<char*> argv;
      for (auto& word : words) argv.push_back(word.data());
      argv.push_back(nullptr);
      _exit(Main(static_cast<int>(words.size()), argv.data()));
    }
    close(ends[1]);
    return {pid, Fd(ends[0])};
  }
  struct Outcome {
    std::string status;
    pid_t started = 0;
  };
  static Outcome End(const Started& started) {
    Outcome out{{}, started.pid};
    char byte;
    while (WaitFor(started.status.get(), POLLIN) && read(started.status.get(), &byte, 1) == 1) out.status += byte;
    return out;
  }
  Outcome Run(std::vector<std::string> words) { return End(Begin(std::move(words))); }
  static int ExitOf(pid_t pid) {
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::map<std::string, std::string> environment_{
      {"NCCL_RELAY_SOCKET", "@nccl-relay-test-" + std::to_string(RandomValue<uint64_t>())},
      {"NCCL_RELAY_PORT", std::to_string(FreePort() % 32768)},
      {"NCCL_RELAY_LINGER", "50ms"},
  };
  std::string folder_;
  // A is this machine's loopback interface.
  static std::string FabricHere() {
    fabric::Fabric fabric;
    fabric.name = "here";
    fabric.nodes = {{1, "A", {{"lo", {*SocketAddress::Parse("127.0.0.1")}, 0, fabric::PortKind::kTcp}}},
                    {2, "B", {{"x", {*SocketAddress::Parse("192.0.2.1")}, 0, fabric::PortKind::kTcp}}}};
    fabric.links = {{{0, 0}, {1, 0}, 0, 0, fabric::PortKind::kTcp}};
    return fabric::PrintFabric(fabric);
  }
};

TEST_F(AgentProgram, AKeyThatCannotBeReadStopsItWithASentence) {
  Declare(FabricHere());
  environment_["NCCL_RELAY_KEY_FILE"] = folder_ + "/no.key";
  auto out = Run({});
  EXPECT_EQ(ExitOf(out.started), 1);
  EXPECT_THAT(out.status, HasSubstr("no.key"));
}

TEST_F(AgentProgram, PassesOnWhatIsWrongInTheFabricFile) {
  Declare("{\n\"nodes\": 7}");
  auto out = Run({});
  EXPECT_EQ(ExitOf(out.started), 1);
  EXPECT_THAT(out.status, HasSubstr("fabric.json:"));
  environment_["NCCL_RELAY_FABRIC"] = folder_ + "/none.json";
  EXPECT_THAT(Run({}).status, HasSubstr("none.json"));
}

TEST_F(AgentProgram, ANodeThatIsNotInTheFabricSaysWhatWasCompared) {
  std::string elsewhere = FabricHere();
  elsewhere.replace(elsewhere.find("127.0.0.1"), 9, "192.0.2.7");
  Declare(elsewhere);
  auto out = Run({});
  EXPECT_EQ(ExitOf(out.started), 1);
  EXPECT_THAT(out.status, HasSubstr("192.0.2.7"));
}

TEST_F(AgentProgram, AWrongKnobIsNamed) {
  Declare(FabricHere());
  environment_["NCCL_RELAY_LINGER"] = "soon";
  auto out = Run({});
  EXPECT_EQ(ExitOf(out.started), 1);
  EXPECT_THAT(out.status, HasSubstr("NCCL_RELAY_LINGER"));
}

TEST_F(AgentProgram, ServesAndEndsOnSigterm) {
  Declare(FabricHere());
  auto out = Run({});
  ASSERT_EQ(out.status, "ready\n");
  control::ClientOptions options;
  options.socket = environment_["NCCL_RELAY_SOCKET"];
  options.start_agent = false;
  SystemClock clock;
  auto client = control::Client::Connect(options, clock);
  ASSERT_TRUE(client) << client.error().what;
  EXPECT_EQ((*client)->agent_pid(), out.started);
  auto second = Run({});
  EXPECT_EQ(ExitOf(second.started), 1);
  EXPECT_THAT(second.status, HasSubstr("process " + std::to_string(out.started)));
  kill(out.started, SIGTERM);
  EXPECT_EQ(ExitOf(out.started), 0);
}

TEST_F(AgentProgram, OfSeveralStartedAtOnceOneServesAndEndsWhenIdle) {
  Declare(FabricHere());
  environment_["NCCL_RELAY_LINGER"] = "300ms";
  std::vector<Started> all;
  for (int i = 0; i < 8; ++i) all.push_back(Begin({"--auto"}));
  for (const Started& started : all) {
    Outcome outcome = End(started);
    EXPECT_EQ(outcome.status, "ready\n");
    EXPECT_EQ(ExitOf(outcome.started), 0) << "the started process ends at once";
  }
  control::ClientOptions options;
  options.socket = environment_["NCCL_RELAY_SOCKET"];
  options.start_agent = false;
  SystemClock clock;
  {
    auto client = control::Client::Connect(options, clock);
    ASSERT_TRUE(client) << client.error().what;
    EXPECT_TRUE((*client)->welcome().auto_started);
  }
  // Looked up, not connected to: a visitor would keep it awake.
  EXPECT_TRUE(Eventually([&] { return !IsBound(options.socket); })) << "it lingers on";
}

}  // namespace
}  // namespace relay::agent
