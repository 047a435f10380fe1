// A connection whose messages devices carry, whole: the streams of both ends, the relays between them, and what would
// drive them: NCCL, which tests its requests, and the service thread, which looks where something waits or has woken
// it. Time is turned by hand: a turn is a millisecond while the devices have work, a quarter of a second while they
// wait.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "fake/caller_memory.h"
#include "fake/rdma_chain.h"
#include "stream/recv_stream.h"
#include "stream/send_stream.h"

namespace relay::faults {

inline constexpr Duration kRecoverTimeout = std::chrono::seconds(30);
inline constexpr Duration kIdleTurn = std::chrono::milliseconds(250);

// A request of one end. One that has ended has its bytes or a sentence.
struct Posted {
  stream::Request* request = nullptr;  // null: refused or ended
  std::byte* data = nullptr;
  size_t size = 0;
  bool done = false;
  uint64_t bytes = 0;
  std::string error = {};
};

struct End {
  explicit End(fake::CallerMemory& caller) : memory(caller) { memory.GiveBack(); }

  fake::CallerMemory& memory;
  size_t used = 0;
  std::shared_ptr<transport::rdma::Memory> registration;
  std::shared_ptr<stream::Stream> stream;
  int socket = -1;  // a descriptor of its own for the same socket: a relay that ends takes the hop along
  stream::Attention attention;
  uint64_t calls_seen = ~uint64_t{0};
  bool closed = false;
  std::vector<Posted> posted;
};

class Connection {
 public:
  // `memory`: of the sender and of the receiver.
  Connection(size_t relays, std::array<fake::CallerMemory*, 2> memory);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Queue pairs are made, then connected; what fails is told().
  bool Make();
  bool Open();
  bool open() const { return sender.stream != nullptr; }

  void Send(size_t bytes) { Post(sender, bytes); }
  // `region`: what deregMr would name.
  void Receive(size_t bytes, const void* region = nullptr) { Post(receiver, bytes, region); }
  // deregMr beside requests: afterwards all memory of this end is out of everyone's reach.
  void Cancel(End& end, const void* region);
  void Close(End& end);

  // One turn of everyone but `stalled`, whose process the scheduler has forgotten.
  void Turn();
  const End* stalled = nullptr;
  // Until nothing has moved for a while.
  void Settle();
  bool AllEnded() const;
  bool finished() const;
  // False: it takes longer.
  bool TurnUntil(const std::function<bool()>& reached, Duration longest);

  // What was said about failures, by whomever.
  const std::vector<std::string>& told() const { return told_; }
  // The first thing that is not as it must be; empty: all is well.
  const std::string& wrong_bytes() const { return wrong_bytes_; }
  std::string WrongSentence() const;
  // Everything goes; what is left all the same.
  std::string TearDown();

  fake::RdmaChain chain;
  Counters counters;
  End sender, receiver;

 private:
  Status MakeStreams();
  void Post(End& end, size_t bytes, const void* region = nullptr);
  void Test(End& end);
  void Attend(End& end);
  void HangUp(End& end);
  void TakeAway(End& end);
  void Judge(size_t message);
  void Tell(const std::string& sentence) { told_.push_back(sentence); }

  std::vector<std::string> told_;
  std::string wrong_bytes_;
};

}  // namespace relay::faults
