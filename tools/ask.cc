#include "ask.h"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>

#include "control/client.h"
#include "relay/knobs.h"

namespace relay::tools {
namespace {

constexpr Duration kDeadline = std::chrono::seconds(5);

Result<std::string> Answer(const std::string& question) {
  auto knobs = LoadKnobs([](const char* name) -> const char* { return std::getenv(name); }, environ);
  if (!knobs) return tl::unexpected(std::move(knobs).error());
  SystemClock clock;
  control::ClientOptions options;
  options.socket = knobs->socket;
  options.start_agent = false;
  options.deadline = kDeadline;
  auto client = control::Client::Connect(options, clock);
  if (!client) return tl::unexpected(std::move(client).error());
  return control::Ask(**client, question, kDeadline, clock);
}

}  // namespace

int AskAgent(const std::string& question) {
  auto answer = Answer(question);
  if (!answer) {
    std::fprintf(stderr, "nccl-relay %s: %s\n", question.c_str(), answer.error().what.c_str());
    return 1;
  }
  std::puts(answer->c_str());
  return 0;
}

}  // namespace relay::tools
