#include "relay/control.h"

namespace relay::control {

const uint16_t kVersion = 1;

}  // namespace relay::control
