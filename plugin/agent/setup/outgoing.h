// One Connect of a client, from its packet to Connected or Failed.
//
//   begin --path--> dialling --OPENED--> connected
//     |               |  '--REFUSED, or a link of the path leaves the fabric--> dialling the next-best path, or failed
//     |               '--the answer to an inquiry--> failed
//     '--to itself--> the owner is looked for, and handed the far end of a socketpair
#pragma once
#include <memory>

#include <vector>

#include "agent/setup/agent_parts.h"
#include "agent/setup/hop_dialer.h"
#include "agent/setup/owner_search.h"
#include "control/socket.h"

namespace relay::agent {

class Outgoing {
 public:
  // An open circuit's socket, with the path it takes.
  struct Opened {
    Fd socket;
    control::Connected message;
  };
  using Outcome = tl::expected<Opened, RefusedMessage>;
  // The last thing that happens here: the owner destroys this in it.
  using Done = std::function<void(Outcome)>;

  // Never calls `done` before it returns. Destroying it tears down what is half open.
  struct Request {
    control::Connect connect;
    std::string build, plugin;       // of whoever asks
    std::shared_ptr<const Key> key;  // null: the fabric is open
    // Asks the client for the queue pair at the begin of a path. Null: it is not asked.
    std::function<void(control::Prepare)> prepare;
  };
  Outgoing(const AgentParts& parts, Request request, Done done);
  ~Outgoing();
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  // The client's answer to prepare; ignored when none is waited for.
  void OnPrepared(control::Prepared prepared);
  // LocalNode has another fabric: a path that has lost a link is given up at once. Never calls `done`.
  void FabricChanged();

 private:
  void Begin();
  bool inquiry() const { return connect_.purpose == control::Purpose::kInquire; }
  void NotThere(const std::string& why);
  std::string CableText(const fabric::Path& path) const;
  void CableOut(const fabric::Path& path);
  std::string FirstLimit(const fabric::Path& path) const;
  Result<fabric::Path> NextPath(size_t to);
  void DialBetter(const fabric::Path& best);
  void DialPath(const fabric::Path& path);
  std::optional<control::Prepare> DeviceFor(const fabric::Path& path);
  // The declared links of this node whose cable has no carrier.
  std::vector<size_t> LinksDownHere() const;
  // Links of these hops that the fabric has.
  std::vector<size_t> LinksOf(std::span<const RouteHop> hops) const;
  void Dial();
  void OnDialled(HopDialer::Outcome outcome);
  std::optional<fabric::Path> Alternative();
  bool DialAnother(const RefusedMessage& refused);
  void DialNextBest(const RefusedMessage& refused);
  void AskForQueuePair(control::Prepare where);
  void OpenToSelf();
  void FindOwner();
  void HandFarEndTo(ClientId owner);
  void ReadOpened();
  OpenMessage MakeOpen() const;
  void Finish(Outcome outcome);

  const AgentParts& parts_;
  const Request request_;
  const control::Connect& connect_ = request_.connect;
  Done done_;
  std::string path_, note_;
  OpenMessage open_;        // of the path being dialled
  bool preparing_ = false;  // the client makes its queue pair
  std::string detour_;      // why the path before this one is not taken
  // The links of every path so far.
  std::vector<RouteHop> tried_;
  std::unique_ptr<HopDialer> dialer_;
  // A path to oneself:
  std::unique_ptr<OwnerSearch> search_;
  std::optional<VerbsPort> own_;  // that reaches itself
  Fd near_;
  SetupReader reader_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
