// nccl-relay: the agent and the tools around it, one subcommand each. The only file that knows CLI11.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "agent/main_entry.h"
#include "ask.h"
#include "lab/commands.h"
#include "relay/knobs.h"

namespace {

using relay::lab::ExecOptions;
using relay::lab::LabOptions;
using relay::lab::RunOptions;

// Given once per value: what follows may be the topology.
CLI::Option* Repeated(CLI::App& app, const char* name, std::vector<std::string>& values, const char* help) {
  return app.add_option(name, values, help)->type_size(1)->allow_extra_args(false);
}

void AddLabOptions(CLI::App& app, LabOptions& lab) {
  app.add_option("TOPOLOGY", lab.topology, "chain:N ring:N star:N grid:RxC full:N, or a fabric.json")->required();
  app.add_option("--rate", lab.rate, "shape every link, each way: 1gbit, 100mbit (default: unshaped)");
  app.add_option("--mtu", lab.mtu, "of every link")->capture_default_str();
  app.add_option("--control", lab.control,
                 "network for the bootstrap: lan (a slow one apart), routes (IP forwarded along the fabric), none")
      ->capture_default_str();
  app.add_option("--agents", lab.agents, "start agents in: auto (nodes without a rank), all, none, or A,B")
      ->capture_default_str();
  Repeated(app, "--no-auto-agent", lab.no_auto_agents, "nodes whose ranks start no agent: A,B");
  Repeated(app, "--node-fabric", lab.node_fabrics, "another fabric file for one node: B=other.json");
  Repeated(app, "--env", lab.env, "K=V for every rank and agent; K= unsets");
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
  Repeated(app, "--cut", run.cuts, "take a link down: A-B@3s after the ranks' start, or A/ab@3s for one cable");
  Repeated(app, "--drop", run.drops, "swallow every packet of a link, which stays up: A-B@3s");
  Repeated(app, "--kill", run.kills, "kill every process of a node: B@4s");
  Repeated(app, "--kill-agent", run.agent_kills, "kill the agents of a node: B@4s");
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

int Main(int argc, char** argv) {
  Arguments arguments = Split(argc, argv);
  CLI::App app("Relays NCCL over any connected fabric.", "nccl-relay");
  app.set_version_flag("--version", RELAY_VERSION);
  app.require_subcommand(1);
  app.add_subcommand("agent", "relay for this node: see \"nccl-relay agent --help\"");
  CLI::App* status = app.add_subcommand("status", "what this node's agent serves and relays, as JSON");
  CLI::App* fabric = app.add_subcommand("fabric", "the fabric as this node's agent knows it: a valid declaration");
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
  LabOptions declared;
  CLI::App* fabric_command = lab->add_subcommand("fabric", "print the declared fabric of a topology");
  fabric_command->add_option("TOPOLOGY", declared.topology)->required();
  fabric_command->add_option("--rate", declared.rate, "speed of every link (default: 10gbit)");

  // CLI11 takes a vector from its end.
  std::vector<std::string> reversed(arguments.own.rbegin(), arguments.own.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (*status) return relay::tools::AskAgent("status");
  if (*fabric) return relay::tools::AskAgent("fabric");
  if (*knobs) return std::fputs(relay::KnobsReference().c_str(), stdout) < 0;
  run.command = arguments.command;
  exec.command = arguments.command.empty() ? std::vector<std::string>{"sh"} : arguments.command;
  if (*run_command) return relay::lab::Run(run);
  if (*up_command) return relay::lab::Up(up, name);
  if (*exec_command) return relay::lab::Exec(exec);
  if (*down_command) return relay::lab::Down(wanted);
  if (*status_command) return relay::lab::ListLabs();
  if (*fabric_command) return relay::lab::PrintFabricOf(declared.topology, declared.rate);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  // The agent reads its own arguments.
  if (argc > 1 && std::strcmp(argv[1], "agent") == 0) return relay::agent::Main(argc - 1, argv + 1);
  return Main(argc, argv);
}
