#include "relay/control.h"

namespace relay::control {

const uint16_t kVersion = 3;

}  // namespace relay::control
