// "nccl-relay status".
#include <cstdio>

#include "view/commands.h"
#include "view/questions.h"
#include "view/status_text.h"

namespace relay::tools {
namespace {

Result<std::string> StatusAsked(bool json) {
  auto line = AgentLine::Open();
  RELAY_TRY(line);
  auto answer = line->Ask("status");
  RELAY_TRY(answer);
  auto status = view::ParseAnswer(*answer, "status");
  RELAY_TRY(status);
  view::Json flows = view::Json::object();
  // An older agent does not know the question.
  if (auto told = line->Ask("flows")) {
    if (auto parsed = view::ParseAnswer(*told, "flows")) flows = std::move(*parsed);
  }
  if (!json) return view::StatusText(*status, flows);
  if (status->is_object()) (*status)["flows"] = std::move(flows);
  return view::Dump(*status, 2) + "\n";
}

}  // namespace

int Status(bool json) {
  auto text = StatusAsked(json);
  if (!text) {
    std::fprintf(stderr, "nccl-relay status: %s\n", text.error().what.c_str());
    return 1;
  }
  return std::fputs(text->c_str(), stdout) < 0;
}

}  // namespace relay::tools
