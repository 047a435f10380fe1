#include "relay/control.h"

namespace relay::control {

// Nobody speaks 4: messages of 3 cannot be read any more, so whoever speaks it must be two versions apart.
const uint16_t kVersion = 5;

}  // namespace relay::control
