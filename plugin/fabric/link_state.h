// The records of all nodes that this one has heard of, and which of them go to which neighbour: flooding, without I/O.
// Each session (a live, authenticated line to a neighbour's agent) carries messages both ways; they may be lost with
// their session, digests find out what is missing. One thread. Hooks may call back: SessionDown and Receive are allowed
// from within `send`.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "fabric/link_state_message.h"

namespace relay::fabric {

using SessionId = uint64_t;  // 0: none

struct LinkStateOptions {
  NodeId self = 0;
  uint64_t incarnation = 0;                       // at most kMaxEdition
  Duration refresh = std::chrono::seconds(60);    // of the own record, changed or not; up to a quarter sooner
  Duration lifetime = std::chrono::seconds(300);  // of a record that is not refreshed
  Duration digest = std::chrono::seconds(5);      // between digests on each session
  size_t most_nodes = kMaxFabricNodes;            // a summary of so many is one message
  size_t most_bytes = size_t{64} << 20;           // of all records; 20,000 of the usual size are 10 MB
};

class LinkState {
 public:
  struct Hooks {
    std::function<void(SessionId, const LinkStateMessage&)> send;
    std::function<Mac(std::span<const std::byte>)> seal;
    std::function<bool(std::span<const std::byte>, const Mac&)> verify;
  };
  struct Counts {
    uint64_t records_sent = 0, records_received = 0, records_new = 0, records_old = 0, forged = 0, aged_out = 0;
    uint64_t no_room = 0;  // records of nodes beyond most_nodes or most_bytes
    uint64_t duels = 0;    // times that the own record came back newer than it was sent
    uint64_t messages_sent = 0;
  };

  LinkState(LinkStateOptions options, Hooks hooks);

  // The own record's contents; node, incarnation and sequence are filled in here, and what the bounds of a record do
  // not allow is left out (WithinBounds). Floods when something changed: at once, unless dozens of changes a second
  // come; then the newest goes with the next Tick that is due.
  void Publish(Record record, TimePoint now);
  // The whole table is compared with a new neighbour's at once.
  void SessionUp(SessionId session, TimePoint now);
  void SessionDown(SessionId session);
  // An error is misbehaviour of the session's other end: a record without proof (counted), or one out of bounds.
  Status Receive(SessionId session, const LinkStateMessage& message, TimePoint now);
  // Refreshes, ages and sends digests; returns when to be called again, whatever happens until then: in at most
  // options.digest.
  TimePoint Tick(TimePoint now);

  // Another agent publishes under this node's id, and outbidding it has not ended that: a cloned machine. The own
  // record then goes out only with its refreshes. False again when nothing was heard of the other for two of them.
  bool contested() const { return contested_; }
  // Grows when the graph may have changed.
  uint64_t version() const { return version_; }
  const Counts& counts() const { return counts_; }
  size_t size() const { return held_.size(); }
  uint64_t digest() const { return digest_; }
  // nullptr: not heard of. The own record is what was published last, whatever others say under this node's id.
  const Record* Find(NodeId node) const;
  // Every record held, the own one included.
  std::vector<const Record*> Records() const;

 private:
  struct Held {
    Record record;
    SealedRecord sealed;
    TimePoint born{};  // by its age when it came
  };
  struct Session {
    TimePoint next_digest{};
    std::optional<TimePoint> asked;  // when a summary left that asks for one
  };
  using Table = std::map<NodeId, Held>;

  void Renew(TimePoint now);
  void FloodOwn(TimePoint now);
  void Store(Held held);
  Table::iterator Drop(Table::iterator at);
  bool HasRoomFor(const Held& held) const;
  Result<Held> Open(const SealedRecord& sealed, TimePoint now);
  void Duel(TimePoint now);
  void Age(TimePoint now);
  // Whether the record is news to this node; `older` when the sender should have ours instead.
  bool Take(Held held, bool& older, TimePoint now);
  Status TakeRecords(SessionId session, const message::Records& message, TimePoint now);
  void TakeDigest(SessionId session, const message::Digest& message, TimePoint now);
  void TakeSummary(SessionId session, const message::Summary& message, TimePoint now);
  message::Summary Summarize(bool answer) const;
  std::vector<LinkStateMessage> Pack(std::span<const NodeId> nodes, TimePoint now);
  void Flood(std::span<const NodeId> nodes, SessionId except, TimePoint now);
  void SendRecords(SessionId session, std::span<const NodeId> nodes, TimePoint now);
  void Send(SessionId session, const LinkStateMessage& message);

  LinkStateOptions options_;
  Hooks hooks_;
  std::optional<Record> own_;  // as published; held_ has what the fabric believes
  Edition edition_;            // of the own record, when it was sealed last
  Table held_;
  size_t bytes_ = 0;  // of all sealed records held
  std::map<SessionId, Session> sessions_;
  TimePoint refresh_due_ = TimePoint::max(), aging_due_ = TimePoint::max();
  TimePoint flood_credit_{};            // up to when floods of the own record are spoken for
  std::optional<TimePoint> flood_due_;  // of a change that waits
  TimePoint duels_since_ = TimePoint::min(), contested_until_{};
  int duels_ = 0;
  bool contested_ = false;
  uint64_t version_ = 1;
  uint64_t digest_ = 0;
  Counts counts_;
};

// The graph that these records describe, as seen from `self`: nodes that live links join to it, links that both ends
// claim, in an order that depends on nothing but the records (nodes by id, ports by name, links by ends), so that every
// agent that holds the same records holds the same fabric. Names are made unique: two nodes "spark" become "spark-3f2a"
// and "spark-91bc" by their ids. Speed of a link: the slower port's; latency: the lower of what its ends measured.
// Ports without address are left out, and so are links whose ends could not speak to each other (CanSpeak). Empty when
// `self` has no record.
Fabric MakeGraph(std::span<const Record* const> records, NodeId self);

}  // namespace relay::fabric
