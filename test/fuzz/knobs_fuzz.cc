// The environment: lines of NAME=value.
#include <map>
#include <sstream>
#include <vector>

#include "fuzz/check.h"
#include "relay/knobs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace relay;
  std::istringstream text(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<std::string> lines;
  std::map<std::string, std::string, std::less<>> values;
  for (std::string line; std::getline(text, line);) {
    if (auto equals = line.find('='); equals != std::string::npos)
      values[line.substr(0, equals)] = line.substr(equals + 1);
    lines.push_back(line);
  }
  std::vector<const char*> environment;
  for (const std::string& line : lines) environment.push_back(line.c_str());
  environment.push_back(nullptr);
  auto get = [&](const char* name) {
    auto it = values.find(name);
    return it == values.end() ? nullptr : it->second.c_str();
  };
  auto knobs = LoadKnobs(get, environment.data());
  if (!knobs) {
    fuzz::Check(!knobs.error().what.empty());
    return 0;
  }
  fuzz::Check(knobs->port >= 1 && knobs->port <= 32767);
  fuzz::Check(knobs->segment >= 4096 && knobs->segment % 128 == 0 && knobs->eager <= 65536);
  fuzz::Check(knobs->connect_timeout > Duration::zero() && knobs->recover_timeout > Duration::zero());
  fuzz::Check(knobs->agent == knob::Automatic::kAuto || knobs->agent == knob::Automatic::kOff);
  return 0;
}
