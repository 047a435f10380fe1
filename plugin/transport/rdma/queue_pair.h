// One reliable-connected queue pair with a completion queue of its own. Not thread-safe, the owner's lock guards it,
// but for trouble(). Work is queued, then rung; nothing allocates or waits after Connect.
//
//   Create: INIT -> Connect: RTR, RTS -> a bad completion, Stop, or the end: ERR -> destroyed
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/final_error.h"
#include "relay/result.h"
#include "transport/rdma/device.h"
#include "transport/rdma/endpoint.h"
#include "transport/rdma/gid_choice.h"
#include "transport/rdma/work.h"

struct ibv_wc;

namespace relay::transport::rdma {

class VerbsPair;
class SendQueue;
class ReceiveQueue;
class CompletionBatch;

class QueuePair {
 public:
  // In the state INIT: receives may be queued and rung before Connect.
  static Result<std::unique_ptr<QueuePair>> Create(std::shared_ptr<Device> device, const Depths& depths);
  // It goes to the error state and is destroyed then: no work request names any memory afterwards.
  ~QueuePair();
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;

  // What the far side must know. Its gids are all of the port's, read now; none where they cannot be read.
  Endpoint near() const;
  // RTR, then RTS. `gids.near` is a position in what near() gave last. May take a second in the kernel where the far
  // address does not resolve. A far side of another link layer is refused.
  Status Connect(const Endpoint& far, const GidPair& gids);

  // Room in the send queue, counting unsignaled ones until a later completion frees them, and queued ones.
  bool HasRoom(uint32_t sends) const;
  bool HasReceiveRoom(uint32_t receives) const;
  uint32_t inline_bytes() const;
  const Device& device() const { return *device_; }

  // Queued; the caller asked HasRoom before. Up to depths.pieces; zero bytes are fine. The pieces' memory belongs to
  // the device from here to the completion.
  void Write(std::span<const Piece> pieces, Remote to, uint64_t id, const SendOptions& options);
  void Read(const Piece& piece, Remote from, uint64_t id);
  void Send(std::span<const Piece> pieces, uint64_t id, const SendOptions& options);
  void Receive(std::span<const Piece> pieces, uint64_t id);
  // All receives that are queued in one chain, then all sends in one chain: one doorbell each. After an error the queue
  // pair is of no further use.
  Status Ring();

  // How many of `out` were filled. A bad completion is an error, after the good ones before it were given: its sentence
  // names the device, the far queue pair, the status and what to check. It stays.
  Result<size_t> Poll(std::span<Completion> out);

  // How a queue pair ends before its object does, so that what it has done by then is known (transport/rdma/fence.h).
  // Nothing but these, trouble() and the destructor is called from the first on.
  //
  // The queue pair goes to the error state: what is outstanding comes back as failed.
  void Stop();
  // What was done well, in order, and was not polled yet; how many of `out` were filled. What failed is passed over,
  // and so is every receive after one that failed.
  size_t Drain(std::span<Completion> out);
  // Every receive that was posted has come back, or nothing will come any more: the device is gone.
  bool drained();
  // The device has forgotten it. What was not drained is lost.
  Status Destroy();

  // The completion channel, for epoll. Arm, then Poll until nothing comes, then sleep; TakeEvents when readable.
  int event_fd() const;
  Status Arm(bool solicited_only = false);
  void TakeEvents();

  // What an asynchronous event said. Any thread.
  std::optional<Error> trouble() const;
  const WorkCounts& counts() const { return counts_; }

 private:
  QueuePair(std::shared_ptr<Device> device, const Depths& depths);
  Status Start(const Depths& depths);
  void Queue(Work work, std::span<const Piece> pieces, Remote remote, uint64_t id, const SendOptions& options);
  void RingReceives();
  void RingSends();
  std::optional<Completion> Take(const ibv_wc& completion);
  std::optional<Completion> TakeGood(const ibv_wc& completion);

  const std::shared_ptr<Device> device_;
  const std::shared_ptr<Trouble> trouble_;
  const std::unique_ptr<SendQueue> sends_;
  const std::unique_ptr<ReceiveQueue> receives_;
  const std::unique_ptr<CompletionBatch> batch_;
  std::unique_ptr<VerbsPair> verbs_;
  FinalError failed_;
  WorkCounts counts_;
};

}  // namespace relay::transport::rdma
