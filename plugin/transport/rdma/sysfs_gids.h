// The addresses of a device's ports as sysfs shows them, for a libibverbs that cannot be asked.
#pragma once
#include <sys/types.h>

#include <span>
#include <string>

struct ibv_gid_entry;

namespace relay::transport::rdma {

// `device_path`: "/sys/class/infiniband/mlx5_0". Every port's, empty entries left out. How many, or -ENODEV where there
// is no such device; what `out` has no room for is left out.
ssize_t ReadSysfsGids(const std::string& device_path, std::span<ibv_gid_entry> out);

}  // namespace relay::transport::rdma
