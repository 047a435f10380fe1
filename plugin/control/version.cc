#include "relay/control.h"

namespace relay::control {

const uint16_t kVersion = kControlVersion;

}  // namespace relay::control
