// Packets of the agent's control socket. What is accepted survives a round trip.
#include <algorithm>

#include "fuzz/check.h"
#include "relay/control.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace relay;
  auto packet = control::Decode(fuzz::Bytes(data, size));
  if (!packet) return 0;
  auto again = control::Decode(control::Encode(*packet));
  fuzz::Check(again && again->request == packet->request && again->message.index() == packet->message.index());
  return 0;
}
