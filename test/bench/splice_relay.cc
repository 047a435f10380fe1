// bench_splice LISTEN_PORT TARGET_HOST TARGET_PORT: the barest relay there is, to compare the agent with. Accepts one
// call, dials on, and splices both ways, a blocking thread and a pipe for each, until both streams have ended.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "sockets.h"

namespace {

constexpr int kPipeBytes = 1 << 20;

struct Flow {
  uint64_t bytes = 0, calls = 0;
};

void Drain(int pipe, int to, ssize_t held, Flow& flow) {
  while (held > 0) {
    ssize_t n = splice(pipe, nullptr, to, nullptr, static_cast<size_t>(held), SPLICE_F_MOVE);
    if (n <= 0) bench::Die("splice to a socket");
    ++flow.calls;
    flow.bytes += static_cast<uint64_t>(n);
    held -= n;
  }
}

void Relay(int from, int to, Flow& flow) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes) < 0) bench::Die("pipe");
  while (true) {
    ssize_t n = splice(from, nullptr, ends[1], nullptr, kPipeBytes, SPLICE_F_MOVE);
    if (n < 0) bench::Die("splice from a socket");
    ++flow.calls;
    if (n == 0) break;
    Drain(ends[0], to, n, flow);
  }
  shutdown(to, SHUT_WR);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: bench_splice LISTEN_PORT TARGET_HOST TARGET_PORT\n", stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  relay::Fd near = bench::AcceptOne(static_cast<uint16_t>(atoi(argv[1])));
  relay::Fd far = bench::Dial(argv[2], static_cast<uint16_t>(atoi(argv[3])));
  Flow forward, backward;
  std::thread back([&] { Relay(far.get(), near.get(), backward); });
  Relay(near.get(), far.get(), forward);
  back.join();
  printf("{\"relayed_bytes\": %lu, \"splice_calls\": %lu}\n", forward.bytes + backward.bytes,
         forward.calls + backward.calls);
  return 0;
}
