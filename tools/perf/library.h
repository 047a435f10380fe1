// The shared object with the plugin, found and opened as NCCL 2.28 does.
#pragma once
#include <string>
#include <vector>

#include "relay/result.h"

namespace relay::perf {

// What NCCL passes to dlopen for NCCL_NET_PLUGIN=`value`, in order: a list of names, each literally, and then, unless
// it is a path or lib*.so, as libnccl-net-NAME.so. Unset (nullptr or empty): the file in `folder`. "none" gives
// nothing.
std::vector<std::string> PluginFiles(const char* value, const std::string& folder);

// Closed at the end of its life, as NCCL does when the last communicator goes.
class Library {
 public:
  // The first of `files` that opens.
  static Result<Library> Open(const std::vector<std::string>& files);
  Library(Library&& other) noexcept;
  Library& operator=(Library&&) = delete;
  ~Library();

  // nullptr: there is none.
  const void* Symbol(const std::string& name) const;
  const std::string& file() const { return file_; }

 private:
  Library(void* handle, std::string file) : handle_(handle), file_(std::move(file)) {}
  void* handle_;
  std::string file_;  // where the loader found it
};

}  // namespace relay::perf
