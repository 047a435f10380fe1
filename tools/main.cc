// nccl-relay: the agent and the tools around it, one subcommand each. The only file that knows CLI11.
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "agent/daemon/main_entry.h"
#include "ask/ask.h"
#include "keygen.h"
#include "lab/commands.h"
#include "lab/topology.h"
#include "metrics/server.h"
#include "perf/perf.h"
#include "relay/knobs.h"
#include "view/commands.h"

namespace {

using relay::lab::ExecOptions;
using relay::lab::FabricOptions;
using relay::lab::LabOptions;
using relay::lab::RunOptions;

// Given once per value: what follows may be the topology.
CLI::Option* Repeated(CLI::App& app, const char* name, std::vector<std::string>& values, const char* help) {
  return app.add_option(name, values, help)->type_size(1)->allow_extra_args(false);
}

void AddFabricOptions(CLI::App& app, FabricOptions& fabric) {
  app.add_option("TOPOLOGY", fabric.topology, std::string(relay::lab::kShapes) + ", or a fabric.json")->required();
  Repeated(app, "--rate", fabric.rates,
           "shape every link, each way: 1gbit, 100mbit (default: unshaped); or some: A-B=1gbit, A>B=100mbit");
  app.add_option("--addresses", fabric.addresses,
                 "per-cable, per-pair, shared, reused, ula, link-local (default: per-cable)");
}

void AddLabOptions(CLI::App& app, LabOptions& lab) {
  AddFabricOptions(app, lab.fabric);
  app.add_option("--mtu", lab.mtu, "of every link")->capture_default_str();
  app.add_flag("--discover", lab.discover, "give the nodes no fabric file: their agents find each other");
  app.add_option("--control", lab.control,
                 "network for the bootstrap: lan (a slow one apart), gateway (the same, and it routes), routes (IP "
                 "forwarded along the fabric), none (default: lan, with --discover gateway)");
  app.add_option("--agents", lab.agents, "start agents in: auto (nodes without a rank), all, none, or A,B")
      ->capture_default_str();
  Repeated(app, "--no-auto-agent", lab.no_auto_agents, "nodes whose ranks start no agent: A,B");
  Repeated(app, "--node-fabric", lab.node_fabrics, "another fabric file for one node: B=other.json");
  Repeated(app, "--env", lab.env, "K=V for every rank and agent; K= unsets");
  Repeated(app, "--sysctl", lab.sysctls, "a setting of every node's kernel: net.ipv4.conf.all.rp_filter=1");
  app.add_option("--log-dir", lab.log_dir, "keep the agents' logs here");
}

void AddRunOptions(CLI::App& app, RunOptions& run) {
  AddLabOptions(app, run.lab);
  app.add_option("--ranks-per-node", run.ranks_per_node, "commands per node")->capture_default_str();
  Repeated(app, "--ranks", run.ranks, "nodes with ranks, rank 0 first: A,C (default: all)")->delimiter(',');
  app.add_option("--timeout", run.timeout, "seconds until the run is ended with status 124")->capture_default_str();
  app.add_option("--grace", run.grace, "seconds that others have after one failed")->capture_default_str();
  app.add_flag("--counters", run.counters, "print every interface's bytes at the end");
  app.add_option("--counters-json", run.counters_json, "write them to a file");
  for (const relay::lab::FaultOption& option : relay::lab::kFaultOptions) {
    const std::function<void(const std::string&)> add = [&run, kind = option.kind](const std::string& value) {
      run.faults.push_back({kind, value});
    };
    app.add_option_function(std::string("--") + option.name, add, option.help)
        ->type_size(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->trigger_on_parse();
  }
}

// What an operator asks this node's agent.
struct ViewOptions {
  bool json = false, live = false, svg = false;
  std::string from, to, key;
  relay::tools::TopOptions top;
};

struct ViewCommands {
  CLI::App *status, *fabric, *explain, *top, *discovery, *keygen;
};

ViewCommands AddViewCommands(CLI::App& app, ViewOptions& view) {
  ViewCommands commands{};
  commands.status = app.add_subcommand("status", "this node's agent: its ports, neighbours, clients, circuits");
  commands.status->add_flag("--json", view.json, "for programs");
  commands.fabric = app.add_subcommand("fabric", "the fabric as this node's agent knows it, and what flows");
  auto* json = commands.fabric->add_flag("--json", view.json, "a declaration, as NCCL_RELAY_FABRIC takes it");
  auto* live = commands.fabric->add_flag("--live", view.live, "JSON with what flows now")->excludes(json);
  commands.fabric->add_flag("--svg", view.svg, "a picture")->excludes(json)->excludes(live);
  commands.explain = app.add_subcommand("explain", "which path leads from one node to another, and why not the others");
  commands.explain->add_option("FROM", view.from)->required();
  commands.explain->add_option("TO", view.to)->required();
  commands.explain->add_flag("--json", view.json, "for programs");
  commands.top = app.add_subcommand("top", "what flows at this node, live: per link and per connection");
  commands.top->add_flag("--json", view.top.json, "one line per interval");
  commands.top->add_option("--interval", view.top.interval, "seconds")->capture_default_str();
  commands.top->add_option("--count", view.top.count, "intervals (default: until q)");
  commands.discovery = app.add_subcommand("discovery", "what this node's agent hears on which port");
  commands.keygen = app.add_subcommand("keygen", "make a fabric's key");
  commands.keygen->add_option("FILE", view.key, "a new file, for NCCL_RELAY_KEY_FILE")->required();
  return commands;
}

// nullopt: none of them was asked for.
std::optional<int> RunView(const ViewCommands& commands, const ViewOptions& view) {
  using relay::tools::FabricFormat;
  if (*commands.status) return relay::tools::Status(view.json);
  if (*commands.fabric) {
    return relay::tools::Fabric(view.json   ? FabricFormat::kJson
                                : view.live ? FabricFormat::kLive
                                : view.svg  ? FabricFormat::kSvg
                                            : FabricFormat::kText);
  }
  if (*commands.explain) return relay::tools::Explain(view.from, view.to, view.json);
  if (*commands.top) return relay::tools::Top(view.top);
  if (*commands.discovery) return relay::tools::AskAgent("discovery");
  if (*commands.keygen) return relay::tools::MakeKey(view.key);
  return std::nullopt;
}

// What follows the first "--" is the command, whatever it looks like.
struct Arguments {
  std::vector<std::string> own, command;
};

Arguments Split(int argc, char** argv) {
  Arguments arguments;
  bool command = false;
  for (int i = 1; i < argc; ++i) {
    if (!command && std::strcmp(argv[i], "--") == 0) {
      command = true;
    } else {
      (command ? arguments.command : arguments.own).emplace_back(argv[i]);
    }
  }
  return arguments;
}

relay::Result<std::shared_ptr<void>> StartMetrics(const std::string& address, const std::string& socket) {
  auto server = relay::metrics::MetricsServer::Start(address, socket);
  RELAY_TRY(server);
  return std::shared_ptr<relay::metrics::MetricsServer>(std::move(*server));
}

int Main(int argc, char** argv) {
  Arguments arguments = Split(argc, argv);
  CLI::App app("Relays NCCL over any connected fabric.", "nccl-relay");
  app.set_version_flag("--version", RELAY_VERSION);
  app.require_subcommand(1);
  app.add_subcommand("agent", "relay for this node: see \"nccl-relay agent --help\"");
  app.add_subcommand("perf", "collectives over the plugin, without NCCL: see \"nccl-relay perf --help\"");
  ViewOptions view;
  const ViewCommands views = AddViewCommands(app, view);
  CLI::App* knobs = app.add_subcommand("knobs", "every NCCL_RELAY_ variable, as a Markdown table");
  CLI::App* lab = app.add_subcommand("lab", "a fabric in a box: network namespaces as nodes");
  lab->require_subcommand(1);

  RunOptions run;
  CLI::App* run_command = lab->add_subcommand("run", "one command per rank: lab run TOPOLOGY ... -- COMMAND ARGS...");
  AddRunOptions(*run_command, run);
  LabOptions up;
  std::string name = "lab", wanted;
  CLI::App* up_command = lab->add_subcommand("up", "a lab that stays");
  AddLabOptions(*up_command, up);
  up_command->add_option("--name", name, "of the lab")->capture_default_str();
  ExecOptions exec;
  CLI::App* exec_command = lab->add_subcommand("exec", "a command in a node: lab exec NODE -- COMMAND ARGS...");
  exec_command->add_option("NODE", exec.node)->required();
  exec_command->add_option("--name", exec.name, "of the lab (default: the only one)");
  CLI::App* down_command = lab->add_subcommand("down", "end a lab");
  down_command->add_option("--name", wanted, "of the lab (default: the only one)");
  CLI::App* status_command = lab->add_subcommand("status", "list labs");
  FabricOptions declared;
  CLI::App* fabric_command = lab->add_subcommand("fabric", "print the declared fabric of a topology");
  AddFabricOptions(*fabric_command, declared);

  // CLI11 takes a vector from its end.
  std::vector<std::string> reversed(arguments.own.rbegin(), arguments.own.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (const auto status = RunView(views, view)) return *status;
  if (*knobs) return std::fputs(relay::KnobsReference().c_str(), stdout) < 0;
  run.command = arguments.command;
  exec.command = arguments.command.empty() ? std::vector<std::string>{"sh"} : arguments.command;
  if (*run_command) return relay::lab::Run(run);
  if (*up_command) return relay::lab::Up(up, name);
  if (*exec_command) return relay::lab::Exec(exec);
  if (*down_command) return relay::lab::Down(wanted);
  if (*status_command) return relay::lab::ListLabs();
  if (*fabric_command) return relay::lab::PrintFabricOf(declared);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  // These read their own arguments.
  if (argc > 1 && std::strcmp(argv[1], "agent") == 0) return relay::agent::Main(argc - 1, argv + 1, StartMetrics);
  if (argc > 1 && std::strcmp(argv[1], "perf") == 0) return relay::perf::Main(argc - 1, argv + 1);
  return Main(argc, argv);
}
