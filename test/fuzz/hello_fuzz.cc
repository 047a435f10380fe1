// A hello, as anybody on the wire may send it: what is accepted is within its bounds and survives a round trip. What
// the kernel says of interfaces goes through the same bounded reading.
#include <linux/rtnetlink.h>

#include <algorithm>

#include "agent/discovery/hello.h"
#include "agent/discovery/interface_table.h"
#include "fuzz/check.h"

namespace relay::agent {
namespace {

void CheckHello(std::span<const std::byte> bytes) {
  const auto sealed = DecodeHello(bytes);
  if (!sealed) return;
  const Hello& hello = sealed->hello;
  fuzz::Check(hello.node != 0 && hello.agent_port != 0 && !hello.port.empty());
  fuzz::Check(hello.name.size() <= kMaxNameBytes && hello.port.size() <= kMaxNameBytes);
  fuzz::Check(hello.heard.size() <= kMaxHeard && bytes.size() <= kMaxHelloBytes);
  fuzz::Check(sealed->sealed_bytes + sealed->mac.size() == bytes.size());
  const auto again = EncodeHello(hello, sealed->mac);
  fuzz::Check(std::equal(bytes.begin(), bytes.end(), again.begin(), again.end()));
}

void CheckNetlink(std::span<const std::byte> rest) {
  InterfaceTable table;
  while (auto message = TakeMessage(rest)) table.Apply(*message);
  for (const Interface& interface : table.Interfaces()) fuzz::Check(interface.index > 0 && !interface.name.empty());
}

}  // namespace
}  // namespace relay::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = relay::fuzz::Bytes(data, size);
  relay::agent::CheckHello(bytes);
  relay::agent::CheckNetlink(bytes);
  return 0;
}
