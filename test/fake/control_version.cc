// Linked in place of control/version.cc: a program that is so many versions of the control protocol ahead.
#include "relay/control.h"

namespace relay::control {
const uint16_t kVersion = kControlVersion + RELAY_TEST_AHEAD;
}
