// Linked in place of control/version.cc: a program of another version of the control protocol.
#include "relay/control.h"

namespace relay::control {
const uint16_t kVersion = RELAY_TEST_VERSION;
}
