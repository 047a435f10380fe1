// Keeps a receiving end on a circuit: takes the one that the sending end opens in place of the last, and asks whether
// that end still lives while nothing comes.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "comm/memory/registrations.h"
#include "comm/opening/arrival.h"
#include "comm/recovery/absence.h"
#include "comm/recovery/inquiry.h"
#include "stream/recovery.h"

namespace relay::comm {

class RecvRecovery final : public stream::Recovery {
 public:
  // `first`: the circuit that `receiver`, which outlives this, is on. `token`: its own.
  RecvRecovery(const CircuitTools& tools, stream::RecvStream& receiver, std::shared_ptr<Registrations> registrations,
               const Token& token, const Arrival& first);
  ~RecvRecovery() override { Release(); }

  void Tend(TimePoint now, const Need& need) override;

 private:
  void Take(control::Received received);
  void Ask(TimePoint now, const Need& need);
  void Watch(const std::vector<RouteHop>& route);
  void Release();

  const CircuitTools tools_;
  stream::RecvStream& receiver_;
  const std::shared_ptr<Registrations> registrations_;
  const Token token_;
  const CircuitName first_;
  const NodeId source_;
  bool released_ = false;
  bool direct_ = false;  // the present circuit, or the last, crosses no relay
  Absence absence_;
  std::unique_ptr<Inquiry> inquiry_;  // null: the sending end cannot be asked for
};

}  // namespace relay::comm
