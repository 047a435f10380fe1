// The environment of a command in a node. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lab/plan.h"

namespace relay::lab {

// A list of "NAME=value" with set and unset.
class Environment {
 public:
  explicit Environment(const char* const* inherited);
  explicit Environment(std::vector<std::string> list) : list_(std::move(list)) {}
  void Set(std::string_view name, std::string_view value);
  void SetUnlessSet(std::string_view name, std::string_view value);
  void Unset(std::string_view name);
  // "NAME=value" sets, "NAME=" and "NAME" unset.
  void Apply(std::string_view assignment);
  std::optional<std::string> Get(std::string_view name) const;
  const std::vector<std::string>& list() const { return list_; }

 private:
  std::vector<std::string> list_;
};

// What the lab knows about one node's commands.
struct NodeFacts {
  std::string name;
  std::string fabric_file;  // empty: the fabric is discovered
  std::string agent_log;
  std::string plugin;  // absolute path of the plugin
  bool no_auto_agent = false;
};

struct RankFacts {
  size_t rank = 0, world = 1;
  size_t local = 0, local_world = 1;
};

// Every command in the node gets it, the agent included.
void DescribeNode(Environment& environment, Control control, const NodeFacts& node);
void DescribeMaster(Environment& environment, std::string_view master_address);
void DescribeRank(Environment& environment, const RankFacts& rank);

}  // namespace relay::lab
