// Looks host names up without stopping the loop: the library's call waits for its servers, so a thread of its own makes
// it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/socket_address.h"

namespace relay::agent {

class NameResolver {
 public:
  // Addresses of the name, without port; none when it has none now.
  using Done = std::function<void(const std::string& name, std::vector<SocketAddress> addresses)>;

  NameResolver(EventLoop& loop, Done done);
  // A lookup under way ends unheard.
  ~NameResolver();
  NameResolver(const NameResolver&) = delete;
  NameResolver& operator=(const NameResolver&) = delete;

  // `done` is called from the loop once for each name. Names asked for while a lookup is under way come after it.
  void LookUp(std::vector<std::string> names);

 private:
  struct Lookup;
  static void* LookUpNames(void* given);  // the thread
  void Start(std::vector<std::string> names);
  void OnDone();
  void Close();

  EventLoop& loop_;
  Done done_;
  std::shared_ptr<Lookup> lookup_;
  std::vector<std::string> waiting_;
};

}  // namespace relay::agent
