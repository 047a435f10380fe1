// Fabric files: an accepted one prints as a file of the same fabric, and every search in it ends.
#include "fuzz/check.h"
#include "relay/fabric.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace relay;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto fabric = fabric::ParseFabric(text, "fabric.json");
  if (!fabric) {
    fuzz::Check(!fabric.error().what.empty());
    return 0;
  }
  auto again = fabric::ParseFabric(fabric::PrintFabric(*fabric), "printed.json");
  fuzz::Check(again && fabric::AgreementHash(*again) == fabric::AgreementHash(*fabric));
  auto path = fabric::FindPath(*fabric, 0, fabric->nodes.size() - 1);
  if (path) {
    fuzz::Check(path->links.size() + 1 == path->nodes.size() && path->links.size() <= kMaxHops);
    fuzz::Check(!fabric::PathText(*fabric, *path).empty());
    for (const RouteHop& hop : fabric::RouteOf(*fabric, *path)) fuzz::Check(fabric::FindLink(*fabric, hop).has_value());
  }
  return 0;
}
