// Dialling oneself: both ends exist at once.
#pragma once
#include "base/fd.h"
#include "relay/result.h"

namespace relay::transport::loopback {

struct Ends {
  Fd near;  // for who dials
  Fd far;   // for who is dialled
};

Result<Ends> Dial();

}  // namespace relay::transport::loopback
