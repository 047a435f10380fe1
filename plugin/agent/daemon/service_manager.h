// What systemd and its like are told, where NOTIFY_SOCKET says that they listen (sd_notify's datagrams).
#pragma once
#include <string>

namespace relay::agent {

// "READY=1", "STOPPING=1", "RELOADING=1" (the time that it needs is added), with "\nSTATUS=..." if wanted. Silent
// where nobody listens.
void TellServiceManager(std::string state);

}  // namespace relay::agent
