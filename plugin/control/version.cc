#include "relay/control.h"

namespace relay::control {

const uint16_t kVersion = 2;

}  // namespace relay::control
