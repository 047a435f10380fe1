#include "relay/result.h"

#include <cstring>

namespace relay {

tl::unexpected<Error> FailErrno(ErrorCode code, const std::string& what, int err) {
  char text[128];
  return Fail(code, what + ": " + strerror_r(err, text, sizeof text), err);
}

}  // namespace relay
