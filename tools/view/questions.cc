#include "view/questions.h"

#include "view/json.h"

namespace relay::view {

Result<fabric::Fabric> AskFabric(tools::AgentLine& line) {
  auto text = line.Ask("fabric");
  RELAY_TRY(text);
  return fabric::ParseFabric(*text, "the agent's fabric");
}

Result<std::vector<std::string>> AskTcpPorts(tools::AgentLine& line) {
  auto text = line.Ask("status");
  RELAY_TRY(text);
  auto status = ParseAnswer(*text, "status");
  RELAY_TRY(status);
  std::vector<std::string> out;
  for (const Json& port : ListAt(*status, "ports")) {
    const std::string why = TextAt(port, "why_tcp");
    if (!why.empty()) out.push_back(TextAt(port, "port") + ": " + why);
  }
  return out;
}

Result<NodeReading> AskFlows(tools::AgentLine& line) {
  auto text = line.Ask("flows");
  RELAY_TRY(text);
  return ParseReading(*text);
}

Result<std::vector<NodeReading>> AskSurvey(tools::AgentLine& line) {
  if (auto text = line.Ask("survey")) {
    auto all = ParseSurvey(*text);
    if (all && !all->empty()) return all;
  }
  auto own = AskFlows(line);
  RELAY_TRY(own);
  return std::vector<NodeReading>{std::move(*own)};
}

}  // namespace relay::view
