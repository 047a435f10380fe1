#include "relay/counters.h"

namespace relay {

std::string CountersJson(const Counters& counters) {
  std::string out = "{";
#define C(field, help) out += "\"" #field "\":" + std::to_string(counters.field.load(std::memory_order_relaxed)) + ",";
  RELAY_COUNTERS(C)
#undef C
  out.back() = '}';
  return out;
}

}  // namespace relay
