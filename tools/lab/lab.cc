#include "lab/lab.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "lab/commands.h"
#include "lab/process.h"
#include "lab/rates.h"
#include "lab/supervisor.h"

namespace relay::lab {
namespace {

Result<std::string> ReadFabricFile(const std::string& path) {
  std::string text = ReadFile(path);
  if (!text.empty()) return text;
  return Fail(ErrorCode::kUsage, fmt::format("\"{}\" is neither a topology ({}) nor a readable file", path, kShapes));
}

Result<Control> ControlOf(const LabOptions& options) {
  const std::string& text = options.control;
  // Agents that find their ports know a management network by its default route.
  if (text.empty()) return options.discover ? Control::kGateway : Control::kLan;
  if (text == "lan") return Control::kLan;
  if (text == "gateway") return Control::kGateway;
  if (text == "routes") return Control::kRoutes;
  if (text == "none") return Control::kNone;
  return Fail(ErrorCode::kUsage, fmt::format("--control {}: lan, gateway, routes or none", text));
}

// nullopt: a file brings its own addresses.
Result<std::optional<AddressStyle>> StyleOf(const FabricOptions& options) {
  if (!LooksLikeShape(options.topology)) {
    if (options.addresses.empty()) return std::nullopt;
    return Fail(ErrorCode::kUsage, fmt::format("--addresses is for shapes: {} has its own", options.topology));
  }
  if (options.addresses.empty()) return AddressStyle::kPerCable;
  const Result<AddressStyle> style = ParseAddressStyle(options.addresses);
  RELAY_TRY(style);
  return *style;
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
  RELAY_TRY(absolute);
  lab.log_dir = *absolute;
  return {};
}

Status DescribeNodes(Lab& lab) {
  const std::string declared = lab.state.path + "/fabric.json";
  RELAY_TRY(WriteFile(declared, lab.plan.fabric_text));
  const std::string plugin = std::filesystem::path(lab.program).replace_filename("libnccl-net-relay.so");
  for (const PlanNode& node : lab.plan.nodes) {
    lab.facts.push_back({node.name, lab.options.discover ? "" : declared,
                         fmt::format("{}/agent-{}.log", lab.log_dir, node.name), plugin, false});
  }
  for (const std::string& exception : lab.options.node_fabrics) {
    const size_t equals = exception.find('=');
    if (equals == exception.npos)
      return Fail(ErrorCode::kUsage, "--node-fabric is written NODE=FILE, like B=other.json");
    const Result<size_t> node = FindNodeNamed(lab.plan, exception.substr(0, equals));
    RELAY_TRY(node);
    const Result<std::string> file = AbsolutePath(exception.substr(equals + 1));
    RELAY_TRY(file);
    lab.facts[*node].fabric_file = *file;
  }
  for (const std::string& names : lab.options.no_auto_agents) {
    const Result<std::vector<size_t>> nodes = NodeList(lab.plan, names);
    RELAY_TRY(nodes);
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

Status MakeLabPlan(Lab& lab) {
  const LabOptions& options = lab.options;
  if (options.mtu < 1280 || options.mtu > 65535) return Fail(ErrorCode::kUsage, "--mtu: 1280 to 65535");
  const Result<Control> control = ControlOf(options);
  RELAY_TRY(control);
  Result<fabric::Fabric> fabric = LoadFabric(options.fabric);
  RELAY_TRY(fabric);
  const Result<std::optional<AddressStyle>> style = StyleOf(options.fabric);
  RELAY_TRY(style);
  Result<Plan> plan = MakePlan(std::move(*fabric), {*control, *style, options.mtu});
  RELAY_TRY(plan);
  lab.plan = std::move(*plan);
  const Result<Rates> rates = Rates::Parse(options.fabric.rates);
  RELAY_TRY(rates);
  return rates->Shape(lab.plan);
}

Status Decide(Lab& lab, const std::vector<std::string>& rank_nodes) {
  RELAY_TRY(MakeLabPlan(lab));
  Result<std::vector<size_t>> ranks = RankNodes(lab.plan, rank_nodes);
  RELAY_TRY(ranks);
  lab.rank_nodes = std::move(*ranks);
  Result<std::vector<size_t>> agents = AgentNodes(lab.plan, lab.options.agents, lab.rank_nodes);
  RELAY_TRY(agents);
  lab.agent_nodes = std::move(*agents);
  return {};
}

}  // namespace

Result<fabric::Fabric> LoadFabric(const FabricOptions& options) {
  const Result<Rates> rates = Rates::Parse(options.rates);
  RELAY_TRY(rates);
  const Result<std::optional<AddressStyle>> style = StyleOf(options);
  RELAY_TRY(style);
  if (!*style) {
    const Result<std::string> text = ReadFabricFile(options.topology);
    RELAY_TRY(text);
    return fabric::ParseFabric(*text, options.topology);
  }
  const Result<Topology> shape = ParseShape(options.topology);
  RELAY_TRY(shape);
  const uint32_t mbit = rates->common_mbit() == 0 ? kUnshapedMbit : rates->common_mbit();
  Result<fabric::Fabric> fabric = DeclareShape(*shape, mbit, **style);
  if (fabric) RELAY_TRY(rates->Declare(*fabric));
  return fabric;
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
  RELAY_TRY(state);
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

AgentStart AgentOf(const Lab& lab, const Network& network, size_t node) {
  return {lab.plan.nodes[node].name, &network.nodes[node], lab.program, lab.facts[node].agent_log,
          NodeEnvironment(lab, node).list()};
}

Result<OpenLab> Open(const Lab& lab, pid_t outer_pid) {
  Result<Network> network = BuildNetwork(lab.plan, lab.options.sysctls);
  RELAY_TRY(network);
  OpenLab open{std::move(*network), {}};
  std::vector<AgentStart> starts;
  for (size_t node : lab.agent_nodes) {
    starts.push_back(AgentOf(lab, open.network, node));
    const Result<pid_t> pid = StartAgent(starts.back());
    RELAY_TRY(pid);
    open.agents.emplace_back(*pid, node);
  }
  for (size_t i = 0; i < starts.size(); ++i) RELAY_TRY(AwaitAgent(starts[i], open.agents[i].first));
  State state{lab.name,
              lab.options.fabric.topology,
              outer_pid,
              lab.plan.control,
              lab.plan.nodes[0].control_address,
              lab.options.env,
              {}};
  for (size_t i = 0; i < lab.facts.size(); ++i) {
    const NodeSpace& space = open.network.nodes[i];
    state.nodes.push_back({lab.facts[i], space.network.get(), space.mounts.get(), space.host.get()});
  }
  RELAY_TRY(WriteState(lab.state, state));
  return open;
}

int Complain(const Error& error) {
  WriteOut(STDERR_FILENO, "lab: " + error.what + "\n");
  return kLabFailed;
}

}  // namespace relay::lab
