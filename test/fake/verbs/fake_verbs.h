// Verbs devices inside this process: the table that transport/rdma works on, with queue pairs that have the real
// states, real copies between registered regions, and cables between ports. Several "hosts" share one table: their
// devices differ by name. Any thread; one mutex orders everything, as a device orders its work.
//
//   FakeVerbs fake;
//   fake.AddLink("a0", "b0");                                // two devices of one RoCE port each, and their cable
//   auto device = Device::Open("a0", 1, &fake.table());
//   ... fake.Leaks() == "" when everything is gone; the table must outlive every device
//
// What it holds to, so that a test fails where a device would: modify_qp takes exactly the attributes that a transition
// needs; posts beyond the depths, the pieces or the inline size are refused; a send's place is free again only once a
// completion at or after it has been polled; a completion queue that overflows fails; bytes go only into registered
// regions whose key, bounds, protection domain and rights fit; a packet reaches a queue pair only where port, cable,
// address, both numbers and both first packet numbers fit; a bad completion's fields other than wr_id, status, qp_num
// and vendor_err are garbage; destroy_qp waits for unacknowledged events; what is still used is not destroyed (EBUSY).
//
// What differs from a device: a retry takes no time. Work whose far queue pair exists but has not reached RTR waits
// for it; any other silence ends in RETRY_EXC_ERR after SetPatience() further Step()s, at once by default, and with 7
// retries never, as on soft-RoCE. Calls that would wait for an event never do (EAGAIN).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "transport/rdma/endpoint.h"
#include "transport/rdma/verbs.h"

namespace relay::fake {

struct PortSpec {
  bool infiniband = false;
  uint16_t lid = 0;
  std::vector<transport::rdma::Gid> gids = {};  // Gid::index is the place in the port's table
  uint16_t mtu = 4096;
  bool up = true;
  uint32_t max_message = 1u << 30;
  bool needs_global_header = false;
};

struct DeviceSpec {
  std::string name = {};
  std::vector<PortSpec> ports = {};
  uint32_t work_requests = 16384, pieces = 30, completions = 1u << 20;
  uint32_t inline_bytes = 220;       // a queue pair that asks for more is refused
  bool dma_buf = true;               // regions are the descriptor's own bytes (give a memfd)
  bool infiniband_transport = true;  // false: iWARP
};

struct PortName {
  std::string device;
  uint8_t number = 1;
  auto operator<=>(const PortName&) const = default;
};

// A port with the addresses that a ConnectX shows for such an IPv4 address: link-local and IPv4, each as RoCE v1 and
// v2.
PortSpec RocePort(const std::string& ipv4);

class FakeVerbs {
 public:
  enum class Pump : uint8_t {
    kPerPost,  // work is done before the post returns, as far as it can be
    kManual,   // by Step() alone
  };
  explicit FakeVerbs(Pump pump = Pump::kPerPost);
  ~FakeVerbs();
  FakeVerbs(const FakeVerbs&) = delete;
  FakeVerbs& operator=(const FakeVerbs&) = delete;

  // Optional calls may be set to nullptr before the first device is opened.
  transport::rdma::Verbs& table();

  // --- Hardware. Any time.
  void Add(const DeviceSpec& device);
  void Connect(const PortName& a, const PortName& b);  // one cable per port
  void AddLink(const std::string& a, const std::string& b);
  void SetGids(const PortName& port, std::vector<transport::rdma::Gid> gids);
  void Cut(const PortName& port);  // its cable drops everything, silently
  void Mend(const PortName& port);
  // A device that is slow: what its queue pairs send waits until it is held no more.
  void Hold(const std::string& device, bool held);
  // Down: PORT_ERR to whoever has the device open, and nothing passes. Up: PORT_ACTIVE. The other end is not told.
  void SetPort(const PortName& port, bool up);

  // --- Doing the work.
  // At most one work request of each queue pair, in the order of their numbers. How many were done or failed.
  size_t Step();
  // At most one of this queue pair. False: nothing to do, or it waits.
  bool StepPair(uint32_t queue_pair);
  void StepUntilIdle();
  void SetPatience(unsigned steps);

  // What a device writes into a DMA-BUF stays on its way, as it may in front of a GPU: completions tell of it, but
  // nobody sees it until that device reads GPU memory or the region goes.
  void HoldWritesToGpu();

  // --- Faults.
  // What every completion queue hands out goes through this first: the first `count` of `room`. As many as it returns
  // are handed out: a device may tell late, or wrongly. It calls nothing of this object.
  using OnPoll = std::function<int(std::span<ibv_wc> room, int count)>;
  void SetOnPoll(OnPoll on_poll);
  // The next send (or the receive that the next arrival fills) of this queue pair fails with this status, and the queue
  // pair with it, as if the device had found it so: nothing is moved.
  void FailNext(uint32_t queue_pair, ibv_wc_status status, bool receive = false);
  // Now: the oldest outstanding send, else the oldest receive, completes with this status, everything else is flushed.
  // False: nothing was outstanding; the queue pair has failed nonetheless.
  bool FailNow(uint32_t queue_pair, ibv_wc_status status);
  // Now: a send that asked for no completion is told of as failed, and the half that receives goes on for a while, as
  // the halves of a device may. At least one such send must have been done.
  void TellOfFailedSend(uint32_t queue_pair, ibv_wc_status status);
  // QP_FATAL, QP_REQ_ERR and QP_ACCESS_ERR: this queue pair has failed. CQ_ERR: its completion queue has, and gives
  // nothing any more. COMM_EST, SQ_DRAINED ... are news alone.
  void RaisePairEvent(uint32_t queue_pair, ibv_event_type event);
  // GID_CHANGE, LID_CHANGE ... To whoever has the device open. DEVICE_FATAL: for them it does nothing any more, and
  // says nothing; whoever opens it afterwards finds it well.
  void RaisePortEvent(const PortName& port, ibv_event_type event);
  // The driver lets go: as DEVICE_FATAL, but reading events fails with EIO.
  void Unplug(const std::string& device);
  // From the `nth` call of that name on (1: the next), `times` calls fail with that errno and do nothing. Names are
  // those of the table, and poll_cq, req_notify_cq, post_send, post_recv.
  void FailCall(const std::string& name, int error, uint64_t nth = 1, uint64_t times = 1);
  // The `nth` call from now of whatever name that makes, asks or moves something (not those that give back).
  void FailNthCall(uint64_t nth, int error);
  std::string failed_call() const;  // the name of the last call that was made to fail
  uint64_t calls(const std::string& name) const;

  // --- Looking.
  struct Live {
    size_t lists = 0, contexts = 0, domains = 0, regions = 0, channels = 0, completion_queues = 0, queue_pairs = 0;
    bool operator==(const Live&) const = default;
  };
  Live live() const;
  std::string Leaks() const;  // "" when nothing is alive
  std::vector<uint32_t> queue_pairs() const;
  std::vector<uint32_t> queue_pairs(const std::string& device) const;
  bool outstanding(uint32_t queue_pair) const;    // work requests that are not done
  ibv_qp_state state(uint32_t queue_pair) const;  // RESET for one that is not there
  ibv_qp_attr attributes(uint32_t queue_pair) const;
  struct Traffic {
    uint64_t writes = 0, sends = 0, reads = 0, bytes = 0;  // that arrived
    uint64_t receiver_not_ready = 0;                       // arrivals that found no receive
    uint64_t send_chains = 0, receive_chains = 0;          // doorbells
    uint64_t completions = 0;                              // written into completion queues
    uint64_t after_deregistration = 0;                     // tries to use a region that is gone
  };
  Traffic traffic() const;
  // What one device was given and has told. Of all its queue pairs.
  struct Work {
    uint64_t sends = 0, send_doorbells = 0;        // work requests that send, write or read; chains of them
    uint64_t receives = 0, receive_doorbells = 0;  // posted
    uint64_t completions = 0;                      // written into its completion queues
    uint64_t wakings = 0;                          // of whoever waits for its completion channels
  };
  Work work(const std::string& device) const;
  // From now on, where every piece of bytes went from one device to another, in order.
  struct Move {
    std::string from_device, to_device;
    const std::byte *from = nullptr, *to = nullptr;  // as they were given; null: inline
    uint64_t bytes = 0;
  };
  void RecordMoves();
  std::vector<Move> moves() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace relay::fake
