#include "faults/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "fake/streams.h"

namespace relay::faults {
namespace {

constexpr size_t kMemoryGap = 64;  // between two buffers: writing beyond one is seen
constexpr std::byte kUntouched{0xa5};
// Silence of the far side is noticed after the hop timeout, in turns of quarters of a second.
constexpr unsigned kPatience = static_cast<unsigned>(fake::RdmaChain::kHopTimeout / kIdleTurn);

std::byte PatternAt(size_t message, size_t i) { return static_cast<std::byte>(i * 131 + message * 17 + i / 251 + 1); }

stream::StreamOptions OptionsOf(const char* peer) {
  return {
      .peer = std::string(peer) + " over A ab--ba B", .recover_timeout = kRecoverTimeout, .linger = kRecoverTimeout};
}

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return fd >= 0 && poll(&p, 1, 0) != 0;
}

}  // namespace

Connection::Connection(size_t relays, std::array<fake::CallerMemory*, 2> memory)
    // A direct message is several writes, as a relayed one is several packets.
    : chain(
          {.relays = relays, .pump = fake::FakeVerbs::Pump::kManual, .max_message = relays == 0 ? 1u << 16 : 1u << 30}),
      sender(*memory[0]),
      receiver(*memory[1]) {
  chain.verbs.SetPatience(kPatience);
}

Connection::~Connection() {
  for (End* end : {&sender, &receiver}) HangUp(*end);
}

void Connection::HangUp(End& end) {
  if (end.socket >= 0) close(std::exchange(end.socket, -1));
}

bool Connection::Make() {
  if (Status made = chain.Make(); !made) {
    Tell(made.error().what);
    return false;
  }
  for (auto& [end, device] : {std::pair(&sender, chain.first), std::pair(&receiver, chain.last)}) {
    auto registration = device->Register(end->memory.data(), end->memory.size());
    if (registration) end->registration = std::move(*registration);
    if (!registration) Tell(registration.error().what);
  }
  return sender.registration && receiver.registration;
}

bool Connection::Open() {
  Status open = chain.Connect([this](const std::string& sentence) {
    Tell(sentence);
    for (const End* end : {&sender, &receiver}) shutdown(end->socket, SHUT_RDWR);
  });
  if (open) open = MakeStreams();
  if (!open) Tell(open.error().what);
  return open.has_value();
}

Status Connection::MakeStreams() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    return FailErrno(ErrorCode::kSystem, "no socket");
  }
  sender.socket = dup(fds[0]);
  receiver.socket = dup(fds[1]);
  const auto circuit = [&](int fd) {
    return std::make_unique<circuit::Circuit>(transport::AdoptSocket(fd), CircuitName{7, 0}, "A ab--ba B", counters);
  };
  sender.stream = fake::MakeSender(circuit(fds[0]), std::move(chain.sender), OptionsOf("B"), counters);
  receiver.stream = fake::MakeReceiver(circuit(fds[1]), std::move(chain.receiver), OptionsOf("A"), counters);
  return {};
}

void Connection::Post(End& end, size_t bytes, const void* region) {
  Posted posted{.data = end.memory.data() + end.used, .size = bytes};
  end.used += bytes + kMemoryGap;
  ASSERT_LE(end.used, end.memory.size());
  for (size_t i = 0; i < bytes + kMemoryGap; ++i) {
    posted.data[i] = &end == &sender && i < bytes ? PatternAt(end.posted.size(), i) : kUntouched;
  }
  const transport::MemoryKeys keys{end.registration->local_key(), end.registration->remote_key()};
  auto request = end.stream->Post({posted.data, bytes, region, {{keys}}}, false);
  if (request) posted.request = *request;
  if (!request) {
    posted.error = request.error().what;
    Tell(posted.error);
  }
  end.posted.push_back(posted);
}

void Connection::Test(End& end) {
  for (Posted& posted : end.posted) {
    if (posted.request == nullptr) continue;
    auto progress = end.stream->Test(*posted.request, posted.bytes);
    if (progress && *progress == Progress::kAgain) return;  // they end in order
    posted.request = nullptr;
    posted.done = progress.has_value();
    if (progress) {
      if (&end == &receiver) Judge(static_cast<size_t>(&posted - end.posted.data()));
      continue;
    }
    posted.error = progress.error().what;
    Tell(posted.error);
  }
}

// NCCL does not call: the service thread looks once more, and then only where time matters or a descriptor has woken
// it.
void Connection::Attend(End& end) {
  const bool called = std::exchange(end.calls_seen, end.stream->handover().calls()) != end.stream->handover().calls();
  if (!called && !end.attention.waits && !Readable(end.attention.fd) && !Readable(end.attention.lane_fd)) return;
  end.attention = end.stream->Attend(chain.clock.Now(), true, [](const stream::Attention&) {});
  if (end.attention.fd < 0) HangUp(end);
}

void Connection::Turn() {
  const bool moved = chain.verbs.Step() > 0;
  chain.clock.Advance(moved ? Duration(std::chrono::milliseconds(1)) : kIdleTurn);
  for (End* end : {&sender, &receiver}) {
    if (!end->stream || end == stalled) continue;
    if (!end->closed) Test(*end);
    Attend(*end);
  }
  chain.RunRelays();
}

void Connection::Settle() {
  for (int quiet = 0; quiet < 4;) {
    const auto before = chain.verbs.traffic().completions;
    Turn();
    quiet = chain.verbs.traffic().completions == before ? quiet + 1 : 0;
  }
}

bool Connection::AllEnded() const {
  for (const End* end : {&sender, &receiver}) {
    if (end->closed) continue;
    if (std::any_of(end->posted.begin(), end->posted.end(), [](const Posted& p) { return p.request != nullptr; })) {
      return false;
    }
  }
  return true;
}

bool Connection::finished() const { return sender.attention.finished && receiver.attention.finished; }

bool Connection::TurnUntil(const std::function<bool()>& reached, Duration longest) {
  const TimePoint end = chain.clock.Now() + longest;
  while (!reached()) {
    if (chain.clock.Now() > end) return false;
    Turn();
  }
  return true;
}

void Connection::TakeAway(End& end) {
  if (!end.registration) return;
  for (size_t m = 0; &end == &receiver && m < end.posted.size(); ++m) Judge(m);
  end.registration.reset();
  end.memory.TakeAway();
}

void Connection::Cancel(End& end, const void* region) {
  end.stream->CancelRegion(region);
  Test(end);
  TakeAway(end);
}

void Connection::Close(End& end) {
  end.stream->Close();
  end.closed = true;
  end.calls_seen = ~uint64_t{0};  // the service takes over at once
  for (Posted& posted : end.posted) posted.request = nullptr;
  TakeAway(end);
}

// Judges the bytes of a message that is done at the receiver; of one that is not, those beyond its buffer.
void Connection::Judge(size_t message) {
  const Posted& to = receiver.posted[message];
  if (!wrong_bytes_.empty() || to.data == nullptr) return;
  const std::string name = "message " + std::to_string(message);
  if (to.done && message >= sender.posted.size()) {
    wrong_bytes_ = name + " was received, though nobody sent it";
    return;
  }
  if (to.done && to.bytes != sender.posted[message].size) wrong_bytes_ = name + " has a wrong size";
  for (size_t i = to.done ? 0 : to.size; i < to.size + kMemoryGap; ++i) {
    const std::byte expected = i < to.bytes ? PatternAt(message, i) : kUntouched;
    if (to.data[i] != expected) wrong_bytes_ = name + " has a wrong byte at " + std::to_string(i);
  }
}

std::string Connection::TearDown() {
  for (End* end : {&sender, &receiver}) {
    end->stream.reset();
    TakeAway(*end);
  }
  chain.sender.reset();
  chain.receiver.reset();
  chain.relays.clear();
  chain.first.reset();
  chain.last.reset();
  return chain.verbs.Leaks();
}

// One that names what failed and says what to do.
std::string Connection::WrongSentence() const {
  static constexpr const char* kAdvice[] = {"look ",   "see ",          "check ",           "report it",
                                            "restart", "of one build?", "is stopped or cut"};
  for (const std::string& sentence : told_) {
    const bool advises = std::any_of(std::begin(kAdvice), std::end(kAdvice),
                                     [&](const char* words) { return sentence.find(words) != std::string::npos; });
    if (!advises) return sentence;
  }
  return "";
}

}  // namespace relay::faults
