// Keeps a sending end on a circuit: opens another when the present one is lost, gives no sign of life, or is not the
// best any more. The old one stays until the new one is open, where it still can.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "comm/memory/registrations.h"
#include "comm/opening/opening.h"
#include "comm/recovery/absence.h"
#include "comm/recovery/inquiry.h"
#include "stream/recovery.h"

namespace relay::comm {

class SendRecovery final : public stream::Recovery {
 public:
  // `connect`: what opened the first circuit; `route`: its links. `sender` outlives this.
  SendRecovery(const CircuitTools& tools, stream::SendStream& sender, std::shared_ptr<Registrations> registrations,
               control::Connect connect, std::string node_name, std::vector<RouteHop> route);
  ~SendRecovery() override { Release(); }

  void Tend(TimePoint now, const Need& need) override;

 private:
  void TakeOpened(TimePoint now, const Need& need);
  void Adopt(Opening::Opened opened);
  void OnRefused(const RefusedMessage& refused, TimePoint now, const Need& need);
  void Open(control::Purpose purpose);
  void Ask(TimePoint now, const Need& need);
  void Watch();
  void Release();

  const CircuitTools tools_;
  stream::SendStream& sender_;
  const std::shared_ptr<Registrations> registrations_;
  control::Connect connect_;  // of the newest attempt
  const std::string node_name_;
  std::vector<RouteHop> route_;  // of the present circuit, or of the last
  std::unique_ptr<Opening> opening_;
  bool better_ = false;      // a better path is there
  bool unanswered_ = false;  // the way to the peer is good, but its process did not take the circuit
  bool released_ = false;
  Pace pace_{std::chrono::milliseconds(10), std::chrono::milliseconds(500)};
  Absence absence_;
  Inquiry inquiry_;
};

}  // namespace relay::comm
