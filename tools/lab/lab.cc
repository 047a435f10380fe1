#include "lab/lab.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <filesystem>

#include "lab/process.h"
#include "lab/topology.h"

namespace relay::lab {
namespace {

constexpr uint32_t kUnshapedMbit = 10000;  // what an unshaped cable is declared to do

Result<std::string> ReadFabricFile(const std::string& path) {
  std::string text = ReadFile(path);
  if (!text.empty()) return text;
  return Fail(
      ErrorCode::kUsage,
      fmt::format("\"{}\" is neither a topology (chain:N ring:N star:N grid:RxC full:N) nor a readable file", path));
}

Result<Control> ParseControl(const std::string& text) {
  if (text == "lan") return Control::kLan;
  if (text == "routes") return Control::kRoutes;
  if (text == "none") return Control::kNone;
  return Fail(ErrorCode::kUsage, fmt::format("--control {}: lan, routes or none", text));
}

std::string OwnPath() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

Result<std::string> AbsolutePath(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::canonical(path, error);
  if (error) return Fail(ErrorCode::kUsage, fmt::format("{}: {}", path, error.message()));
  return absolute.string();
}

Status PrepareLogs(Lab& lab) {
  lab.log_dir = lab.options.log_dir.empty() ? lab.state.path : lab.options.log_dir;
  std::error_code error;
  std::filesystem::create_directories(lab.log_dir, error);
  const Result<std::string> absolute = AbsolutePath(lab.log_dir);
  if (!absolute) return tl::unexpected<Error>(absolute.error());
  lab.log_dir = *absolute;
  return {};
}

Status DescribeNodes(Lab& lab) {
  const std::string declared = lab.state.path + "/fabric.json";
  RELAY_TRY(WriteFile(declared, lab.plan.fabric_text));
  const std::string plugin = std::filesystem::path(lab.program).replace_filename("libnccl-net-relay.so");
  for (const PlanNode& node : lab.plan.nodes) {
    lab.facts.push_back({node.name, declared, fmt::format("{}/agent-{}.log", lab.log_dir, node.name), plugin, false});
  }
  for (const std::string& exception : lab.options.node_fabrics) {
    const size_t equals = exception.find('=');
    if (equals == exception.npos)
      return Fail(ErrorCode::kUsage, "--node-fabric is written NODE=FILE, like B=other.json");
    const Result<size_t> node = FindNodeNamed(lab.plan, exception.substr(0, equals));
    if (!node) return tl::unexpected<Error>(node.error());
    const Result<std::string> file = AbsolutePath(exception.substr(equals + 1));
    if (!file) return tl::unexpected<Error>(file.error());
    lab.facts[*node].fabric_file = *file;
  }
  for (const std::string& names : lab.options.no_auto_agents) {
    const Result<std::vector<size_t>> nodes = NodeList(lab.plan, names);
    if (!nodes) return tl::unexpected<Error>(nodes.error());
    for (size_t node : *nodes) lab.facts[node].no_auto_agent = true;
  }
  return {};
}

Result<std::vector<size_t>> RankNodes(const Plan& plan, const std::vector<std::string>& names) {
  std::vector<size_t> nodes;
  for (const std::string& name : names) {
    const Result<std::vector<size_t>> some = NodeList(plan, name);
    if (!some) return some;
    nodes.insert(nodes.end(), some->begin(), some->end());
  }
  for (size_t i = 0; names.empty() && i < plan.nodes.size(); ++i) nodes.push_back(i);
  return nodes;
}

Status Decide(Lab& lab, const std::vector<std::string>& rank_nodes) {
  const Result<uint32_t> rate = ParseRate(lab.options.rate);
  if (!rate) return tl::unexpected<Error>(rate.error());
  if (lab.options.mtu < 1280 || lab.options.mtu > 65535) return Fail(ErrorCode::kUsage, "--mtu: 1280 to 65535");
  lab.shape = {*rate, lab.options.mtu};
  const Result<Control> control = ParseControl(lab.options.control);
  if (!control) return tl::unexpected<Error>(control.error());
  Result<fabric::Fabric> fabric = LoadFabric(lab.options.topology, lab.options.rate);
  if (!fabric) return tl::unexpected<Error>(fabric.error());
  Result<Plan> plan = MakePlan(std::move(*fabric), *control);
  if (!plan) return tl::unexpected<Error>(plan.error());
  lab.plan = std::move(*plan);
  Result<std::vector<size_t>> ranks = RankNodes(lab.plan, rank_nodes);
  if (!ranks) return tl::unexpected<Error>(ranks.error());
  lab.rank_nodes = std::move(*ranks);
  Result<std::vector<size_t>> agents = AgentNodes(lab.plan, lab.options.agents, lab.rank_nodes);
  if (!agents) return tl::unexpected<Error>(agents.error());
  lab.agent_nodes = std::move(*agents);
  return {};
}

}  // namespace

Result<uint32_t> ParseRate(std::string_view text) {
  if (text.empty()) return 0u;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const double mbit = unit == "gbit" ? value * 1000 : value;
  if (error != std::errc() || (unit != "gbit" && unit != "mbit") || !(mbit >= 1) || mbit > 1e6) {
    return Fail(ErrorCode::kUsage, fmt::format("--rate {}: write it like 1gbit, 2.5gbit or 100mbit", text));
  }
  return static_cast<uint32_t>(std::lround(mbit));
}

Result<fabric::Fabric> LoadFabric(const std::string& topology, const std::string& rate) {
  const Result<uint32_t> speed = ParseRate(rate);
  if (!speed) return tl::unexpected<Error>(speed.error());
  if (LooksLikeShape(topology)) {
    const Result<Topology> shape = ParseShape(topology);
    if (!shape) return tl::unexpected<Error>(shape.error());
    return DeclareShape(*shape, *speed == 0 ? kUnshapedMbit : *speed);
  }
  const Result<std::string> text = ReadFabricFile(topology);
  if (!text) return tl::unexpected<Error>(text.error());
  return fabric::ParseFabric(*text, topology);
}

Result<Lab> Prepare(const LabOptions& options, const PrepareOptions& prepare) {
  Lab lab;
  lab.options = options;
  lab.name = prepare.name;
  RELAY_TRY(Decide(lab, prepare.rank_nodes));
  lab.program = OwnPath();
  std::error_code ignored;
  lab.working_directory = std::filesystem::current_path(ignored);
  Result<StateDirectory> state = ClaimState(lab.name);
  if (!state) return tl::unexpected<Error>(state.error());
  lab.state = std::move(*state);
  Status status = PrepareLogs(lab);
  if (status) status = DescribeNodes(lab);
  if (!status) {
    RemoveState(lab.state.path);
    return tl::unexpected<Error>(status.error());
  }
  return lab;
}

Environment NodeEnvironment(const Lab& lab, size_t node) {
  Environment environment(environ);
  DescribeNode(environment, lab.plan.control, lab.facts[node]);
  DescribeMaster(environment, lab.plan.nodes[lab.rank_nodes.empty() ? 0 : lab.rank_nodes.front()].control_address);
  for (const std::string& assignment : lab.options.env) environment.Apply(assignment);
  return environment;
}

Result<OpenLab> Open(const Lab& lab, pid_t outer_pid) {
  Result<Network> network = BuildNetwork(lab.plan, lab.shape);
  if (!network) return tl::unexpected<Error>(network.error());
  OpenLab open{std::move(*network), {}};
  std::vector<AgentStart> starts;
  for (size_t node : lab.agent_nodes) {
    starts.push_back({lab.plan.nodes[node].name, &open.network.nodes[node], lab.program, lab.facts[node].agent_log,
                      NodeEnvironment(lab, node).list()});
    const Result<pid_t> pid = StartAgent(starts.back());
    if (!pid) return tl::unexpected<Error>(pid.error());
    open.agents.emplace_back(*pid, node);
  }
  for (size_t i = 0; i < starts.size(); ++i) RELAY_TRY(AwaitAgent(starts[i], open.agents[i].first));
  State state{
      lab.name, lab.options.topology, outer_pid, lab.plan.control, lab.plan.nodes[0].control_address, lab.options.env,
      {}};
  for (size_t i = 0; i < lab.facts.size(); ++i) {
    const NodeSpace& space = open.network.nodes[i];
    state.nodes.push_back({lab.facts[i], space.network.get(), space.mounts.get(), space.host.get()});
  }
  RELAY_TRY(WriteState(lab.state, state));
  return open;
}

}  // namespace relay::lab
