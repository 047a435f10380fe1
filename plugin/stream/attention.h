// What a stream wants of the service thread until it is attended to again.
#pragma once
#include "stream/recovery.h"

namespace relay::stream {

struct Attention {
  bool finished = false;  // a remnant with nothing left to do
  bool waits = false;     // time matters: requests are outstanding or a remnant lingers
  bool soon = false;      // and a moment of it does
  bool wants_write = false;
  int fd = -1;       // -1: no circuit
  int lane_fd = -1;  // -1: no lane
  Recovery::Need need{};
};

}  // namespace relay::stream
