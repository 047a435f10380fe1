#include "stream/standstill.h"

namespace relay::stream {

std::string Standstill::WhyOver(const std::string& path) const {
  return "nothing that was sent has arrived for " + SecondsText(patience_) + " (NCCL_RELAY_RECOVER_TIMEOUT), though " +
         std::to_string(circuits_) + " circuits were opened over " + path +
         " meanwhile: small packets pass there and large ones do not. Compare the MTU of the ports on this path with "
         "what "
         "the switches between them pass";
}

}  // namespace relay::stream
