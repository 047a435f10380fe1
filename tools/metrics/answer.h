// What is answered to which path, by asking the agent.
#pragma once
#include <string>

#include "base/clock.h"

namespace relay::metrics {

struct Response {
  unsigned status = 200;
  std::string type, body;
};

class Answerer {
 public:
  explicit Answerer(std::string socket) : socket_(std::move(socket)) {}

  // Blocks while the agent is asked, at most about two seconds; for health one.
  Response Answer(const std::string& path);

 private:
  Response Metrics();
  Response Health();

  const std::string socket_;
  // Scrapers in a hurry must not become the agent's main work.
  Response last_;
  TimePoint asked_{};
};

}  // namespace relay::metrics
