// /metrics and /healthz of a daemon, over HTTP/1.1. A thread of the program that asks the agent over its control socket
// as any client would, so that the agent itself knows nothing of it. Small on purpose: a few connections, one small
// request each, bounded time.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "relay/result.h"

namespace relay::metrics {

class MetricsServer {
 public:
  // `address`: "127.0.0.1:9417", "[::1]:9417", ":9417" or "9417" (both loopback), "0.0.0.0:9417" for all. Port 0: any.
  // `socket`: the agent's control socket, a path or @name.
  static Result<std::unique_ptr<MetricsServer>> Start(const std::string& address, const std::string& socket);
  // Ends what is under way and waits for the thread.
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  uint16_t port() const;

 private:
  struct Inner;
  explicit MetricsServer(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

// The same for who only keeps it alive (agent::StartMetrics).
Result<std::shared_ptr<void>> Serve(const std::string& address, const std::string& socket);

}  // namespace relay::metrics
