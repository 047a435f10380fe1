// The best paths from one node, found when they are asked for and kept while the fabric changes: a change costs a
// search only for paths that it may concern. One thread.
#pragma once
#include <cstdint>
#include <map>
#include <optional>

#include "fabric/change.h"
#include "fabric/path_search.h"

namespace relay::fabric {

class PathTable {
 public:
  // Index of the node in the fabric that is asked about first.
  explicit PathTable(size_t from) : from_(from) {}

  // As FindPath from that node, also after it has moved to another index; kNoPath when the fabric has it no more.
  // `fabric` is the one of the last call, or what Changed was told that it has become.
  Result<Path> To(const Fabric& fabric, size_t to);
  // The fabric that To was asked about is now another. A path is kept, renumbered, when all its links are as before,
  // no node that it leads through has begun to drain, and no link that came or became better can be part of a better
  // path.
  void Changed(const Fabric& before, const Fabric& after);

  // How often To had to look for a path.
  uint64_t searches() const { return searches_; }

 private:
  size_t from_;
  std::optional<NodeId> self_;    // known since the first change
  std::map<size_t, Path> paths_;  // per destination
  std::optional<PathSearch> search_;
  uint64_t searches_ = 0;
};

}  // namespace relay::fabric
