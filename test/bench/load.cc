// bench_load: one end of a connection that is kept full, as NCCL's Simple protocol keeps it: the product's own streams,
// over a circuit of the agents or over a plain socket. Both ends send the same frames either way, so whatever stands
// between them carries the same load.
#include <poll.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

#include "control/client.h"
#include "fabric/hash.h"
#include "fake/streams.h"
#include "relay/frame.h"
#include "relay/knobs.h"
#include "sockets.h"

namespace {

using namespace relay;

constexpr char kUsage[] =
    "usage: bench_load send BYTES MESSAGE agent NODE | HOST PORT   one end; a JSON line when all arrived\n"
    "       bench_load receive BYTES MESSAGE agent | PORT\n"
    "       bench_load status                                         what the agent of this node says\n";
constexpr size_t kInFlight = 8;
constexpr Duration kDeadline = std::chrono::seconds(60);
constexpr int kPauseMs = 20;

const SystemClock g_clock;
Counters g_counters;

[[noreturn]] void Refuse(const std::string& what) {
  fprintf(stderr, "bench_load: %s\n", what.c_str());
  exit(1);
}

template <class T>
T Must(Result<T> result) {
  if (!result) Refuse(result.error().what);
  return std::move(*result);
}

std::unique_ptr<control::Client> Agent() {
  control::ClientOptions options;
  if (const char* name = getenv("NCCL_RELAY_SOCKET")) options.socket = name;
  options.start_agent = false;
  return Must(control::Client::Connect(options, g_clock));
}

// Both ends know it: nobody has to carry a handle.
Token SharedToken() {
  Token token{};
  std::memcpy(token.data(), "bench_load token", token.size());
  return token;
}

control::Received Await(control::Client& client) {
  TimePoint until = g_clock.Now() + kDeadline;
  while (g_clock.Now() < until) {
    auto received = Must(client.Receive());
    if (received) return std::move(*received);
    pollfd p{client.fd(), POLLIN, 0};
    poll(&p, 1, 1000);
  }
  Refuse("the agent does not answer");
}

using CircuitPointer = std::unique_ptr<circuit::Circuit>;

CircuitPointer Over(Fd fd, CircuitName name) {
  return std::make_unique<circuit::Circuit>(transport::AdoptSocket(fd.release()), name, "a benchmark's path",
                                            g_counters);
}

CircuitPointer ConnectThroughAgent(const char* node) {
  auto client = Agent();
  control::Connect connect{.node = fabric::HashName(node),
                           .token = SharedToken(),
                           .name = {.connection = 1, .epoch = 0},
                           .agreement = client->welcome().agreement};
  std::string why;
  for (TimePoint until = g_clock.Now() + kDeadline; g_clock.Now() < until; poll(nullptr, 0, kPauseMs)) {
    if (Status s = client->Send({1, connect}); !s) Refuse(s.error().what);
    auto received = Await(*client);
    if (std::holds_alternative<control::Connected>(received.packet.message)) {
      return Over(std::move(received.fd), connect.name);
    }
    if (auto* failed = std::get_if<control::Failed>(&received.packet.message)) why = failed->refused.sentence;
  }
  Refuse("no circuit: " + why);
}

CircuitPointer AcceptFromAgent() {
  auto client = Agent();
  if (Status s = client->Send({0, control::Register{SharedToken()}}); !s) Refuse(s.error().what);
  auto received = Await(*client);
  auto* arrived = std::get_if<control::Arrived>(&received.packet.message);
  if (arrived == nullptr) Refuse("the agent sent something else than a circuit");
  auto circuit = Over(std::move(received.fd), arrived->open.name);
  circuit->QueueSetup(EncodeOpened({.name = arrived->open.name, .offer = {}}));
  return circuit;
}

stream::StreamOptions Options() {
  return {.peer = "the other end",
          .segment = Knobs().segment,
          .recover_timeout = kDeadline,
          .linger = std::chrono::seconds(10)};
}

// Sleeps in poll when nothing moves: the processors belong to the relay.
stream::Attention Drive(stream::Stream& s) {
  return s.Attend(g_clock.Now(), /*housekeeping=*/false, [](const stream::Attention&) {});
}

void Sleep(const stream::Attention& attention) {
  if (attention.fd < 0) return;
  pollfd p{attention.fd, static_cast<short>(attention.wants_write ? POLLIN | POLLOUT : POLLIN), 0};
  poll(&p, 1, 1000);
}

void Run(stream::Stream& s, uint64_t bytes, size_t message) {
  std::vector<std::byte> memory(kInFlight * message);
  std::deque<stream::Request*> flying;
  uint64_t posted = 0, done = 0, messages = bytes / message, size = 0;
  while (done < messages) {
    for (; posted < messages && flying.size() < kInFlight; ++posted) {
      auto* request = Must(s.Post({memory.data() + posted % kInFlight * message, message, nullptr}, false));
      if (request == nullptr) break;
      flying.push_back(request);
    }
    uint64_t before = done;
    while (!flying.empty() && Must(flying.front()->stream->Test(*flying.front(), size)) == Progress::kDone) {
      flying.pop_front();
      ++done;
    }
    if (done == before) Sleep(Drive(s));
  }
  s.Close();
  for (auto attention = Drive(s); !attention.finished; attention = Drive(s)) Sleep(attention);
}

void Report(uint64_t bytes, double seconds) {
  uint64_t wire = g_counters.bytes_sent + g_counters.frames_sent * kFrameHeaderBytes;
  printf("{\"bytes\": %lu, \"wire_bytes\": %lu, \"seconds\": %.6f}\n", bytes, wire, seconds);
}

int Main(int argc, char** argv) {
  std::string role = argc > 1 ? argv[1] : "";
  if (role == "status" && argc == 2) {
    auto client = Agent();
    printf("%s\n", Must(control::Ask(*client, "status", kDeadline, g_clock)).c_str());
    return 0;
  }
  bool sends = role == "send" && argc == 6, receives = role == "receive" && argc == 5;
  if (!sends && !receives) return fputs(kUsage, stderr), 2;
  uint64_t bytes = strtoull(argv[2], nullptr, 10);
  size_t message = strtoull(argv[3], nullptr, 10);
  bool agent = strcmp(argv[4], "agent") == 0;
  std::shared_ptr<stream::Stream> s;
  if (sends) {
    auto circuit = agent ? ConnectThroughAgent(argv[5])
                         : Over(bench::Dial(argv[4], static_cast<uint16_t>(atoi(argv[5]))), CircuitName{});
    s = fake::MakeSender(std::move(circuit), Options(), g_counters, 0);
  } else {
    auto circuit =
        agent ? AcceptFromAgent() : Over(bench::AcceptOne(static_cast<uint16_t>(atoi(argv[4]))), CircuitName{});
    s = fake::MakeReceiver(std::move(circuit), Options(), g_counters, 0);
  }
  TimePoint begin = g_clock.Now();
  Run(*s, bytes, message);
  Report(bytes, Seconds(g_clock.Now() - begin));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  return Main(argc, argv);
}
