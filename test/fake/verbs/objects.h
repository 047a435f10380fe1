// What FakeVerbs consists of. Sources of this folder only. Everything is guarded by State::mutex.
#pragma once
#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fake/verbs/fake_verbs.h"

namespace relay::fake {

struct FakePair;
struct FakeContext;
struct FakeRegion;

// Bytes on their way into GPU memory.
struct HeldWrite {
  const FakeRegion* region;
  std::byte* to;
  std::vector<std::byte> bytes;
};

struct FakeDevice : ibv_device {
  FakeVerbs::State* state = nullptr;
  DeviceSpec spec;
  bool unplugged = false;
  std::set<FakeContext*> open;
  FakeVerbs::Work work;
  std::deque<HeldWrite> held;  // the oldest first
};

bool IsPairEvent(ibv_event_type type);

// What a call that gives a pointer returns when it fails.
inline std::nullptr_t NullWith(int error) {
  errno = error;
  return nullptr;
}

// One thing that the host is told through a descriptor, with what it is about.
template <class Event>
struct EventQueue {
  int fd = -1;  // an eventfd in semaphore mode: one count per entry
  std::deque<Event> entries;

  bool Open();
  void Close();
  void Push(Event event);
  std::optional<Event> Pop();
  template <class Match>
  void Drop(Match&& match);
};

struct FakeContext : ibv_context {
  FakeVerbs::State* state = nullptr;
  FakeDevice* hardware = nullptr;
  bool fatal = false;
  EventQueue<ibv_async_event> events;

  bool gone() const { return fatal || hardware->unplugged; }
};

struct FakeDomain : ibv_pd {
  FakeVerbs::State* state = nullptr;
  size_t users = 0;
};

struct FakeRegion : ibv_mr {
  FakeVerbs::State* state = nullptr;
  uint64_t first = 0;          // the address by which it is named
  std::byte* bytes = nullptr;  // where these are
  unsigned access = 0;
  void* mapping = nullptr;  // of a DMA-BUF
};

struct FakeQueue;
struct FakeChannel : ibv_comp_channel {
  FakeVerbs::State* state = nullptr;
  EventQueue<FakeQueue*> events;
  size_t users = 0;
};

struct Entry {
  ibv_wc wc{};
  FakePair* pair = nullptr;
  bool send = false;
  uint64_t number = 0;  // of the work request in its queue
};

struct FakeQueue : ibv_cq {
  FakeVerbs::State* state = nullptr;
  FakeChannel* told = nullptr;
  std::deque<Entry> entries;
  enum class Armed : uint8_t { kNo, kSolicited, kAny } armed = Armed::kNo;
  bool overrun = false, dead = false;
  size_t users = 0, unacknowledged = 0, unacknowledged_async = 0;
};

struct SendWork {
  uint64_t number = 0, id = 0;
  ibv_wr_opcode opcode{};
  unsigned flags = 0;
  uint32_t immediate = 0;  // as it was given
  uint64_t remote = 0;
  uint32_t key = 0;
  std::vector<ibv_sge> pieces;
  std::vector<std::byte> inlined;
  unsigned tries = 0, not_ready = 0;

  uint64_t bytes() const;
};

struct ReceiveWork {
  uint64_t number = 0, id = 0;
  std::vector<ibv_sge> pieces;
};

struct FakePair : ibv_qp {
  FakeVerbs::State* owner = nullptr;
  ibv_qp_cap cap{};
  bool signals_all = false;
  ibv_qp_attr now{};
  std::deque<SendWork> sends;
  std::deque<ReceiveWork> receives;
  uint64_t sends_posted = 0, sends_free = 0, receives_posted = 0, receives_free = 0;
  std::deque<ibv_wc_status> send_faults, receive_faults;  // of the next ones
  size_t unacknowledged = 0;

  FakeDevice& device() const { return *static_cast<FakeContext*>(context)->hardware; }
  bool gone() const { return static_cast<FakeContext*>(context)->gone(); }
  PortSpec& port() const { return device().spec.ports[now.port_num - 1u]; }
  FakeQueue& send_queue() const { return *static_cast<FakeQueue*>(send_cq); }
  FakeQueue& receive_queue() const { return *static_cast<FakeQueue*>(recv_cq); }
};

struct FakeVerbs::State {
  explicit State(Pump how) : pump(how) {}

  mutable std::mutex mutex;
  std::condition_variable acknowledged;
  const Pump pump;
  transport::rdma::Verbs table;
  unsigned patience = 0;
  bool holds_gpu_writes = false;
  std::map<std::string, std::unique_ptr<FakeDevice>> devices;
  std::map<PortName, PortName> cables;  // both ways
  std::set<PortName> cut;
  std::set<std::string> held;
  unsigned links = 0;

  size_t lists = 0, domains = 0, channels = 0, queues = 0;
  std::set<FakeContext*> contexts;
  std::map<uint32_t, FakePair*> pairs;
  std::map<uint32_t, FakeRegion*> local_keys, remote_keys;
  std::set<uint32_t> former_keys;
  uint32_t next_pair = 0x11, next_key = 0x1000;
  Traffic traffic;
  bool records = false;
  std::vector<Move> moves;

  OnPoll on_poll;

  // Faults of calls.
  struct CallFault {
    uint64_t from, to;  // by the count of that name
    int error;
  };
  std::map<std::string, uint64_t> calls;
  std::map<std::string, std::vector<CallFault>> call_faults;
  uint64_t failing_calls = 0, fail_at = 0;
  int fail_error = 0;
  std::string failed_call;

  // An errno for this call, 0: it goes on. Counts it.
  int Enter(const char* name, bool gives_back = false);
  // The same for a call that a device which is gone refuses.
  int Enter(const char* name, const ibv_context* context);

  FakePair* Pair(uint32_t number) const;
  // --- traffic.cc
  bool Work(FakePair& pair);
  void LandHeld(FakeDevice& device);  // all that it has on its way to GPU memory
  void PumpIfPerPost();
  void Fail(FakePair& pair);  // to ERR; what is outstanding is flushed
  void Complete(FakePair& pair, const SendWork& work, ibv_wc_status status);
  void Complete(FakePair& pair, const ReceiveWork& work, ibv_wc_status status, uint32_t bytes,
                std::optional<uint32_t> immediate, bool by_write, bool solicited);
  void Raise(FakeContext& context, const ibv_async_event& event);
};

void FillObjectCalls(FakeVerbs::State& state);  // table.cc: devices, regions
void FillQueueCalls(FakeVerbs::State& state);   // queues.cc
void FillPairCalls(FakeVerbs::State& state);    // pair.cc
void FillOps(ibv_context_ops& ops);             // pair.cc and queues.cc: what goes through the context
int PostSend(ibv_qp* pair, ibv_send_wr* chain, ibv_send_wr** bad);
int PostReceive(ibv_qp* pair, ibv_recv_wr* chain, ibv_recv_wr** bad);
int PollQueue(ibv_cq* queue, int most, ibv_wc* out);
int ArmQueue(ibv_cq* queue, int solicited_only);

}  // namespace relay::fake
