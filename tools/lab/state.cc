#include "lab/state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lab/process.h"

namespace relay::lab {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// The first place that this user may write to and nobody else owns.
Result<std::string> Root() {
  std::vector<std::string> places{"/run/nccl-relay-lab"};
  if (::geteuid() != 0) places.clear();
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime && *runtime) {
    places.push_back(std::string(runtime) + "/nccl-relay-lab");
  }
  places.push_back(fmt::format("/tmp/nccl-relay-lab-{}", ::geteuid()));
  for (const std::string& place : places) {
    ::mkdir(place.c_str(), 0700);
    struct stat facts {};
    const bool ours = ::lstat(place.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode) && facts.st_uid == ::geteuid();
    if (ours && ::access(place.c_str(), W_OK) == 0) return place;
  }
  return Fail(ErrorCode::kSystem, "no place for the lab's state: tried " + fmt::format("{}", fmt::join(places, ", ")));
}

// Serialises claims, so that no one takes a fresh directory for a leftover before its owner has locked it.
Result<Fd> LockRoot(const std::string& root) {
  Fd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX) != 0) return FailErrno(ErrorCode::kSystem, "lock " + root);
  return fd;
}

Fd TryLock(const std::string& directory) {
  Fd fd(::open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.reset();
  return fd;
}

std::vector<std::string> Directories(const std::string& root) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root, ignored)) {
    if (entry.is_directory(ignored)) found.push_back(entry.path());
  }
  return found;
}

Result<State> ReadState(const std::string& directory) {
  const Json json = Json::parse(ReadFile(directory + "/state.json"), nullptr, false);
  if (!json.is_object()) return Fail(ErrorCode::kSystem, "no state in " + directory);
  try {
    State state{json.at("name"),
                json.at("topology"),
                json.at("pid"),
                json.at("control").get<Control>(),
                json.at("master_address"),
                json.at("env"),
                {}};
    for (const Json& node : json.at("nodes")) {
      const NodeFacts facts{node.at("name"), node.at("fabric_file"), node.at("agent_log"), node.at("plugin"),
                            node.at("no_auto_agent")};
      state.nodes.push_back({facts, node.at("network"), node.at("mounts"), node.at("host")});
    }
    return state;
  } catch (const Json::exception& error) {
    return Fail(ErrorCode::kSystem, fmt::format("{}/state.json: {}", directory, error.what()));
  }
}

}  // namespace

Result<StateDirectory> ClaimState(const std::string& name) {
  const Result<std::string> root = Root();
  RELAY_TRY(root);
  const Result<Fd> claims = LockRoot(*root);
  RELAY_TRY(claims);
  for (const std::string& directory : Directories(*root)) {
    if (const Fd leftover = TryLock(directory)) RemoveState(directory);
  }
  StateDirectory claimed{*root + "/" + name, Fd()};
  if (::mkdir(claimed.path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return Fail(ErrorCode::kUsage, fmt::format("a lab named \"{}\" is up already", name));
    return FailErrno(ErrorCode::kSystem, "make " + claimed.path);
  }
  claimed.lock = TryLock(claimed.path);
  if (!claimed.lock) return FailErrno(ErrorCode::kSystem, "lock " + claimed.path);
  return claimed;
}

Status WriteState(const StateDirectory& directory, const State& state) {
  Json json{{"name", state.name},       {"topology", state.topology}, {"pid", state.pid},
            {"control", state.control}, {"env", state.env},           {"master_address", state.master_address},
            {"nodes", Json::array()}};
  for (const StateNode& node : state.nodes) {
    json["nodes"].push_back({{"name", node.facts.name},
                             {"fabric_file", node.facts.fabric_file},
                             {"agent_log", node.facts.agent_log},
                             {"plugin", node.facts.plugin},
                             {"no_auto_agent", node.facts.no_auto_agent},
                             {"network", node.network},
                             {"mounts", node.mounts},
                             {"host", node.host}});
  }
  const std::string path = directory.path + "/state.json";
  // Renamed into place: a reader never sees half of it.
  RELAY_TRY(WriteFile(path + ".new", json.dump(1, ' ', false, Json::error_handler_t::replace)));
  if (::rename((path + ".new").c_str(), path.c_str()) != 0) return FailErrno(ErrorCode::kSystem, "rename " + path);
  return {};
}

void RemoveState(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

std::vector<State> LiveLabs() {
  std::vector<State> labs;
  const Result<std::string> root = Root();
  if (!root) return labs;
  const Result<Fd> claims = LockRoot(*root);
  for (const std::string& directory : Directories(*root)) {
    if (const Fd leftover = TryLock(directory)) continue;
    if (Result<State> state = ReadState(directory)) labs.push_back(std::move(*state));
  }
  return labs;
}

Result<State> FindLab(const std::string& name) {
  std::vector<State> labs = LiveLabs();
  std::string names;
  for (State& lab : labs) {
    if (lab.name == name || (name.empty() && labs.size() == 1)) return std::move(lab);
    names += (names.empty() ? "" : " ") + lab.name;
  }
  if (labs.empty()) return Fail(ErrorCode::kUsage, "no lab is up: start one with \"nccl-relay lab up TOPOLOGY\"");
  if (name.empty()) return Fail(ErrorCode::kUsage, "several labs are up, say which with --name: " + names);
  return Fail(ErrorCode::kUsage, fmt::format("no lab named \"{}\" is up; there are: {}", name, names));
}

}  // namespace relay::lab
