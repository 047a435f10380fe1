// Ties a socket to one interface.
#pragma once
#include <string>

#include "relay/result.h"

namespace relay::transport::tcp {

Status BindToInterface(int fd, const std::string& interface);

}  // namespace relay::transport::tcp
