#include "perf/communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>
#include <tuple>

#include "base/codec.h"
#include "perf/logger.h"

namespace relay::perf {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kGlance(20);  // how often the main thread looks at the other ranks while it waits
constexpr Protocol kAllProtocols[] = {Protocol::kSimple, Protocol::kLl, Protocol::kLl128};

// Where the plugin has to write a pointer: stays when it does not.
int unwritten_object;
void* const kUnwritten = &unwritten_object;

milliseconds Milliseconds(double seconds) { return milliseconds(std::llround(seconds * 1000)); }

Runner::Task Once(std::function<Status()> body) {
  return [body = std::move(body)]() -> Result<Progress> {
    RELAY_TRY(body());
    return Progress::kDone;
  };
}

}  // namespace

Communicator::Communicator(const CommunicatorFacts& facts) : facts_(facts) {}

Communicator::~Communicator() {
  if (const Status closed = Close(); !closed) {
    std::fprintf(stderr, "nccl-relay perf: rank %d: %s\n", facts_.world.rank, closed.error().what.c_str());
  }
}

Status Communicator::Judge(const char* call, ncclResult_t result) const {
  if (result == ncclSuccess) return {};
  return Fail(ErrorCode::kRemote, fmt::format("{} failed with {}", call, ResultText(result)));
}

Result<std::unique_ptr<Communicator>> Communicator::Init(const CommunicatorFacts& facts) {
  std::unique_ptr<Communicator> out(new Communicator(facts));
  out->SayPhase("init");
  Communicator& c = *out;
  const Status initialised = c.OnThread(c.init_, {Once([&c] { return c.CallInit(); })});
  if (!initialised) return tl::unexpected(initialised.error());
  c.progress_ = std::make_unique<ProgressThread>(
      ProgressThread::Facts{&facts.net, c.context_, facts.world.rank, facts.options.flush, facts.options.one_thread,
                            facts.options.gap, Milliseconds(facts.options.late)},
      c.latch_);
  return out;
}

Status Communicator::CallInit() {
  RELAY_TRY(Judge("init()", facts_.net.Init(&context_, NcclLogger)));
  initialised_ = true;
  return AskProperties();
}

Status Communicator::AskProperties() {
  int devices = 0;
  RELAY_TRY(Judge("devices()", facts_.net.Devices(&devices)));
  if (devices <= 0) return Fail(ErrorCode::kRemote, fmt::format("devices() says {}: NCCL would not use it", devices));
  for (int device = 0; device < devices; ++device) {
    RELAY_TRY(Judge("getProperties()", facts_.net.GetProperties(device, &properties_)));
    RELAY_TRY(CheckProperties(properties_, devices, facts_.net.abi()));
  }
  device_ = facts_.world.local_rank % devices;
  return Judge("getProperties()", facts_.net.GetProperties(device_, &properties_));
}

void Communicator::SayPhase(const std::string& phase) const {
  if (!facts_.options.phases) return;
  std::fprintf(stderr, "nccl-relay perf: rank %d: %s\n", facts_.world.rank, phase.c_str());
}

Status Communicator::Rest(double seconds) {
  for (const auto end = steady_clock::now() + Milliseconds(seconds); steady_clock::now() < end;) {
    if (Status others = facts_.rendezvous.Watch(); !others) {
      SayPhase("failed: " + others.error().what);
      return others;
    }
    std::this_thread::sleep_for(kGlance);
  }
  return {};
}

// Waits for `ended`, as long as something moves and no rank is in trouble; when one is, the plugin has the options'
// patience to say so by itself.
Status Communicator::Await(const std::function<Result<Progress>(milliseconds)>& ended) {
  const std::chrono::seconds limit(facts_.options.timeout);
  auto last_move = steady_clock::now(), heard = last_move;
  Status others;
  uint64_t seen = moved();
  while (true) {
    auto progress = ended(kGlance);
    Status status = progress ? latch_.status() : tl::unexpected(progress.error());
    const auto now = steady_clock::now();
    const uint64_t count = moved();
    if (count != std::exchange(seen, count)) last_move = now;
    if (!status) {
      const std::chrono::duration<double> quiet = now - last_move;
      status.error().what += fmt::format("; nothing had moved for {:.3f} s", quiet.count());
      SayPhase("failed: " + status.error().what);
      // The others need not wait until this rank has closed what it holds.
      facts_.rendezvous.GiveUp(fmt::format("rank {}: {}", facts_.world.rank, status.error().what));
      return status;
    }
    if (*progress == Progress::kDone) return {};
    if (others) {
      others = facts_.rendezvous.Watch();
      heard = now;
    }
    if (!others && now >= heard + Milliseconds(facts_.options.patience)) {
      SayPhase("failed: " + others.error().what);
      return others;
    }
    if (now >= last_move + limit) {
      return Fail(ErrorCode::kRemote, fmt::format("nothing has moved for {} s", limit.count()));
    }
  }
}

Status Communicator::OnThread(Runner& runner, std::vector<Runner::Task> tasks) {
  runner.Start(std::move(tasks));
  const Status done = Await([&runner](milliseconds wait) { return runner.Ended(wait); });
  if (!done) runner.Cancel();
  return done;
}

void Communicator::MakeConnections(const std::vector<Steps>& steps_by_channel, const Layouts& layouts) {
  // In one order on all ranks that no rank's position changes: by channel, then by peer.
  std::set<std::tuple<int, int, Direction>> wanted;
  for (size_t channel = 0; channel < steps_by_channel.size(); ++channel) {
    for (const Step& step : steps_by_channel[channel]) {
      for (int rank : step.from) wanted.emplace(static_cast<int>(channel), rank, Direction::kReceive);
      for (int rank : step.to) wanted.emplace(static_cast<int>(channel), rank, Direction::kSend);
    }
  }
  for (const auto& [channel, peer, direction] : wanted) {
    connections_.push_back(std::make_unique<Connection>(direction, peer, channel, layouts));
  }
}

Status Communicator::Connect(const std::vector<Steps>& steps_by_channel, const Layouts& layouts) {
  SayPhase("connect");
  MakeConnections(steps_by_channel, layouts);
  std::vector<Runner::Task> listens, connects, registers;
  connects.push_back(Once([this]() -> Status {
    facts_.net.SetNetAttributes(context_);
    return {};
  }));
  listens.push_back(Once([this] { return Judge("getProperties()", facts_.net.GetProperties(device_, &properties_)); }));
  for (const auto& connection : connections_) {
    Connection& c = *connection;
    if (c.direction == Direction::kReceive) listens.push_back(Once([this, &c] { return Listen(c); }));
    connects.push_back([this, &c] { return Advance(c); });
    registers.push_back(Once([this, &c] { return Register(c); }));
  }
  RELAY_TRY(OnThread(service_, std::move(listens)));
  RELAY_TRY(ExchangeHandles());
  RELAY_TRY(OnThread(service_, std::move(connects)));
  RELAY_TRY(OnThread(service_, std::move(registers)));
  // As NCCL: no rank works, or ends, while another still connects.
  RELAY_TRY(facts_.rendezvous.Barrier());
  std::function<void()> meanwhile;
  if (facts_.options.one_thread) meanwhile = [this] { progress_->Turn(); };
  for (size_t channel = 0; channel < steps_by_channel.size(); ++channel) {
    blocks_.push_back(
        std::make_unique<Block>(static_cast<int>(channel), connections_, facts_.world.ranks, latch_, meanwhile));
  }
  SayPhase("connected");
  return {};
}

Status Communicator::Listen(Connection& c) {
  std::memset(c.handle.data(), kGarbage, c.handle.size());
  c.listen_comm = nullptr;
  RELAY_TRY(Judge("listen()", facts_.net.Listen(context_, device_, c.handle.data(), &c.listen_comm)));
  if (c.listen_comm == nullptr) return Fail(ErrorCode::kInternal, "listen() returned no listen comm");
  return {};
}

// The receiver's handle travels to the sender; where it is put is the sender's to keep for every call of connect().
Status Communicator::ExchangeHandles() {
  constexpr size_t kEntry = 8 + NCCL_NET_HANDLE_MAXSIZE;
  ByteWriter own;
  for (const auto& c : connections_) {
    if (c->direction != Direction::kReceive) continue;
    own.Put(static_cast<uint32_t>(c->peer));
    own.Put(static_cast<uint32_t>(c->channel));
    own.PutBytes(c->handle);
  }
  const auto all = facts_.rendezvous.Exchange(own.bytes());
  if (!all) return tl::unexpected(all.error());
  for (const auto& c : connections_) {
    if (c->direction != Direction::kSend) continue;
    ByteReader reader((*all)[static_cast<size_t>(c->peer)]);
    bool found = false;
    while (!found && reader.remaining() >= kEntry) {
      const auto sender = static_cast<int>(reader.Get<uint32_t>()), channel = static_cast<int>(reader.Get<uint32_t>());
      const auto handle = reader.GetBytes(NCCL_NET_HANDLE_MAXSIZE);
      found = sender == facts_.world.rank && channel == c->channel;
      if (found) std::copy(handle.begin(), handle.end(), c->handle.begin());
    }
    if (!found) {
      return Fail(ErrorCode::kInternal, fmt::format("rank {} does not listen for rank {} on channel {}", c->peer,
                                                    facts_.world.rank, c->channel));
    }
  }
  return {};
}

Result<Progress> Communicator::Advance(Connection& c) {
  void* comm = kUnwritten;
  const bool sends = c.direction == Direction::kSend;
  const ncclResult_t result =
      sends ? facts_.net.Connect(context_, device_, c.handle.data(), &comm) : facts_.net.Accept(c.listen_comm, &comm);
  const std::string call = fmt::format("{}() {} rank {}, channel {},", sends ? "connect" : "accept",
                                       sends ? "to" : "from", c.peer, c.channel);
  RELAY_TRY(Judge(call.c_str(), result));
  if (comm == kUnwritten) return Fail(ErrorCode::kInternal, call + " left its comm unwritten");
  if (comm == nullptr) return Progress::kAgain;
  c.comm = comm;
  if (!sends) RELAY_TRY(Judge("closeListen()", facts_.net.CloseListen(std::exchange(c.listen_comm, nullptr))));
  return Progress::kDone;
}

Status Communicator::Register(Connection& c) {
  for (Protocol protocol : kAllProtocols) {
    const auto i = static_cast<size_t>(protocol);
    auto memory = Memory::Map(c.layouts.Of(protocol).bytes());
    RELAY_TRY(memory);
    c.memory[i] = std::move(*memory);
    RELAY_TRY(Judge("regMr()", facts_.net.RegMr(c.comm, c.memory[i].data(), c.memory[i].size(), &c.mhandles[i])));
    c.registered[i] = true;
  }
  return {};
}

void Communicator::Start(const std::vector<Launch>& launches) {
  if (!std::exchange(worked_, true)) SayPhase("traffic");
  std::vector<Operation> operations;
  for (const auto& connection : connections_) {
    const Launch& launch = launches[static_cast<size_t>(connection->channel)];
    uint64_t messages = 0;
    for (const Step& step : launch.steps) {
      const auto& ranks = connection->direction == Direction::kSend ? step.to : step.from;
      messages += static_cast<uint64_t>(std::count(ranks.begin(), ranks.end(), connection->peer));
    }
    messages *= static_cast<uint64_t>(launch.repetitions);
    if (messages > 0) operations.push_back({connection.get(), launch.protocol, messages});
  }
  progress_->Post(operations);
  for (size_t channel = 0; channel < blocks_.size(); ++channel) blocks_[channel]->Start(launches[channel]);
}

Status Communicator::Wait() {
  Status ended;
  for (size_t i = 0; i < blocks_.size() && ended; ++i) {
    ended = Await([&block = *blocks_[i]](milliseconds wait) -> Result<Progress> {
      return block.Ended(wait) ? Progress::kDone : Progress::kAgain;
    });
  }
  if (!ended) Stop();
  return ended;
}

Status Communicator::Drain() {
  return Await([this](milliseconds wait) -> Result<Progress> {
    return progress_->Idle(wait) ? Progress::kDone : Progress::kAgain;
  });
}

size_t Communicator::Stop() {
  latch_.Stop();
  blocks_.clear();
  if (progress_) progress_->Join();
  size_t in_flight = 0;
  for (const auto& c : connections_) in_flight += c->posted - c->tested;
  return in_flight;
}

Status Communicator::LeakListenComm() {
  alignas(16) std::byte handle[NCCL_NET_HANDLE_MAXSIZE];
  void* leaked = nullptr;
  return RunToEnd(service_,
                  {Once([&] { return Judge("listen()", facts_.net.Listen(context_, device_, handle, &leaked)); })});
}

// Whatever the other ranks do: the end of this one.
Status Communicator::RunToEnd(Runner& runner, std::vector<Runner::Task> tasks) {
  runner.Start(std::move(tasks));
  const auto ended = runner.Ended(std::chrono::seconds(facts_.options.timeout));
  if (!ended) return tl::unexpected(ended.error());
  if (*ended == Progress::kAgain) QuitStuck(runner.name());
  return {};
}

// deregMr comes first, with whatever is in flight; afterwards nothing may touch the memory.
Status Communicator::Release(Connection& c) {
  if (c.comm == nullptr) return {};
  for (size_t i = 0; i < kProtocols; ++i) {
    if (c.registered[i]) RELAY_TRY(Judge("deregMr()", facts_.net.DeregMr(c.comm, c.mhandles[i])));
  }
  void* comm = std::exchange(c.comm, nullptr);
  if (c.direction == Direction::kSend) RELAY_TRY(Judge("closeSend()", facts_.net.CloseSend(comm)));
  if (c.direction == Direction::kReceive) RELAY_TRY(Judge("closeRecv()", facts_.net.CloseRecv(comm)));
  c.memory = {};
  return {};
}

Status Communicator::Close() {
  if (std::exchange(closed_, true)) return {};
  SayPhase("close");
  Stop();
  std::vector<Runner::Task> releases;
  for (const auto& connection : connections_) {
    Connection& c = *connection;
    releases.push_back(Once([this, &c] { return Release(c); }));
  }
  // A bootstrap over the net closes what it never opened.
  releases.push_back(Once([this]() -> Status {
    if (!initialised_) return {};
    RELAY_TRY(Judge("closeSend(NULL)", facts_.net.CloseSend(nullptr)));
    RELAY_TRY(Judge("closeRecv(NULL)", facts_.net.CloseRecv(nullptr)));
    return Judge("closeListen(NULL)", facts_.net.CloseListen(nullptr));
  }));
  const Status released = RunToEnd(service_, std::move(releases));
  connections_.clear();
  if (!initialised_) return released;
  const Status finalized =
      RunToEnd(init_, {Once([this] { return Judge("finalize()", facts_.net.Finalize(context_)); })});
  SayPhase("closed");
  return released ? finalized : released;
}

}  // namespace relay::perf
