// "nccl-relay lab fabric": the declaration of a topology, to start one's own from.
#include <fmt/format.h>

#include "lab/commands.h"
#include "lab/lab.h"

namespace relay::lab {

int PrintFabricOf(const FabricOptions& options) {
  const Result<fabric::Fabric> fabric = LoadFabric(options);
  if (!fabric) {
    fmt::print(stderr, "lab: {}\n", fabric.error().what);
    return kLabFailed;
  }
  fmt::print("{}", fabric::PrintFabric(*fabric));
  return 0;
}

}  // namespace relay::lab
