#include "view/sight.h"

namespace relay::view {

Result<fabric::Fabric> AskFabric(tools::AgentLine& line) {
  auto text = line.Ask("fabric");
  RELAY_TRY(text);
  return fabric::ParseFabric(*text, "the agent's fabric");
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
