// Agents that run out of descriptors, and go on when there are some again.
#include <cstring>
#include <ctime>

#include "base/log.h"
#include "fake/no_descriptors.h"
#include "transport/tcp/dial.h"
#include "unit/agent/agents.h"

namespace relay::agent {
namespace {

// When the agent said that it can take no call.
class RefusedCalls {
 public:
  void Add() {
    const std::lock_guard lock(mutex_);
    times_.push_back(std::chrono::steady_clock::now());
  }
  void Clear() {
    const std::lock_guard lock(mutex_);
    times_.clear();
  }
  // False: it has not been said so often within the patience.
  bool AwaitCount(size_t count) {
    return Eventually([&] {
      const std::lock_guard lock(mutex_);
      return times_.size() >= count;
    });
  }
  // Between the first and the last of them.
  Duration Span() {
    const std::lock_guard lock(mutex_);
    return times_.back() - times_.front();
  }

 private:
  std::mutex mutex_;
  std::vector<std::chrono::steady_clock::time_point> times_;
};
RefusedCalls g_refused_calls;

void NoteRefusedCalls(LogLevel, const char*, int, const char* text) {
  const bool call = std::strstr(text, "cannot accept a call") != nullptr;
  if (call || std::strstr(text, "a client of the control socket waits") != nullptr) g_refused_calls.Add();
}

// What all threads of this process have computed.
Duration ProcessTime() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Until neither the socket nor what is behind it takes another byte.
void FillUp(int fd) {
  const std::string piece(1 << 16, 'x');
  for (pollfd p{fd, POLLOUT, 0}; poll(&p, 1, 200) == 1;) {
    while (send(fd, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
  }
}

class AgentsWithoutDescriptors : public AgentsTest {
 protected:
  AgentsWithoutDescriptors() { SetLogSink(NoteRefusedCalls); }
  ~AgentsWithoutDescriptors() override { SetLogSink(nullptr); }
};

TEST_F(AgentsWithoutDescriptors, ANeighboursCallWaitsAndTheAgentDoesNotSpin) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  auto chain = ChainOnLo(2);
  Start(chain);
  auto from = ClientOf("A"), to = ClientOf("B");
  const SocketAddress a = chain.nodes[0].ports[0].addresses[0], b = chain.nodes[1].ports[0].addresses[0];
  Fd call(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(call.get(), a.get(), a.size()), 0);
  const SocketAddress there = b.WithPort(port_);
  g_refused_calls.Clear();
  {
    fake::NoDescriptors none;
    const Duration before = ProcessTime();
    ASSERT_EQ(connect(call.get(), there.get(), there.size()), 0);
    ASSERT_TRUE(g_refused_calls.AwaitCount(3)) << "it does not try again";
    EXPECT_GT(g_refused_calls.Span(), std::chrono::milliseconds(100)) << "it tries again at once, for nothing";
    EXPECT_LT(ProcessTime() - before, g_refused_calls.Span() / 4) << "it is woken without end";
  }
  EXPECT_TRUE(HalfOpenBecomes("B", 1));
  auto circuit = Open(*from, *to, To(chain, 1, RandomValue<Token>()));
  EXPECT_TRUE(circuit.source);
}

TEST_F(AgentsWithoutDescriptors, ARelayedCircuitWaitsForItsPipe) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  auto chain = ChainOnLo(3);
  Start(chain);
  auto from = ClientOf("A"), to = ClientOf("C");
  auto circuit = Open(*from, *to, To(chain, 2, RandomValue<Token>()));
  ASSERT_TRUE(circuit.source);
  // One pipe was made when the circuit opened. What nobody reads keeps it, so the other direction needs another.
  FillUp(circuit.source.get());
  {
    fake::NoDescriptors none;
    ASSERT_EQ(send(circuit.destination.get(), "patience", 8, MSG_NOSIGNAL), 8);
    pollfd p{circuit.source.get(), POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 100), 0) << "without a pipe nothing can have come";
  }
  EXPECT_EQ(ReadText(circuit.source.get(), 8), "patience");
}

TEST_F(AgentsWithoutDescriptors, ADialThatCannotBeMadeIsRefusedInWords) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  auto chain = ChainOnLo(2);
  Start(chain);
  auto from = ClientOf("A"), to = ClientOf("B");
  ASSERT_TRUE(to);
  fake::NoDescriptors none;
  ASSERT_TRUE(from->Send({1, To(chain, 1, RandomValue<Token>())}));
  auto refused = RefusedBy(*from);
  EXPECT_FALSE(refused.final);
  EXPECT_EQ(refused.code, RefusedCode::kLimit);
  EXPECT_EQ(refused.sentence,
            "the agent of A has no descriptor left to dial B: raise its `ulimit -n`; it is on the way from A to B");
}

TEST_F(AgentsWithoutDescriptors, AClientWaitsAndTheAgentDoesNotSpin) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  auto chain = ChainOnLo(2);
  Start(chain);
  auto address = control::AddressOf(SocketOf("A"));
  ASSERT_TRUE(address);
  Fd client(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  g_refused_calls.Clear();
  {
    fake::NoDescriptors none;
    const Duration before = ProcessTime();
    ASSERT_EQ(connect(client.get(), address->get(), address->size), 0);
    ASSERT_TRUE(g_refused_calls.AwaitCount(3)) << "it does not try again";
    EXPECT_GT(g_refused_calls.Span(), std::chrono::milliseconds(100)) << "it tries again at once, for nothing";
    EXPECT_LT(ProcessTime() - before, g_refused_calls.Span() / 4) << "it is woken without end";
  }
  ASSERT_TRUE(control::SendPacket(client.get(), control::Encode({1, control::Hello{1, "late"}})));
  ASSERT_TRUE(WaitFor(client.get(), POLLIN));
  EXPECT_TRUE(control::ReceivePacket(client.get()));
}

}  // namespace
}  // namespace relay::agent
