#include "perf/library.h"

#include <dlfcn.h>
#include <link.h>
#include <strings.h>

#include <utility>

namespace relay::perf {
namespace {

bool IsFileName(const std::string& name) {
  const bool library = name.starts_with("lib") && name.ends_with(".so");
  return library || name.find('/') != std::string::npos;
}

std::string FileOf(void* handle, const std::string& asked) {
  link_map* map = nullptr;
  if (::dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr || *map->l_name == 0) return asked;
  return map->l_name;
}

}  // namespace

std::vector<std::string> PluginFiles(const char* value, const std::string& folder) {
  if (value == nullptr || *value == 0) return {folder + "/libnccl-net-relay.so"};
  std::vector<std::string> files;
  for (std::string rest = value; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string name = rest.substr(0, comma);
    rest.erase(0, comma + 1);
    if (name.empty() || ::strcasecmp(name.c_str(), "none") == 0) continue;
    files.push_back(name);
    if (!IsFileName(name)) files.push_back("libnccl-net-" + name + ".so");
  }
  return files;
}

Result<Library> Library::Open(const std::vector<std::string>& files) {
  if (files.empty()) return Fail(ErrorCode::kUsage, "NCCL_NET_PLUGIN says that there is no plugin: nothing to measure");
  std::string complaints;
  for (const std::string& file : files) {
    if (void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return Library(handle, FileOf(handle, file));
    const char* why = ::dlerror();
    complaints += std::string(complaints.empty() ? "" : "; ") + (why ? why : file);
  }
  return Fail(ErrorCode::kUsage, "the plugin cannot be loaded: " + complaints);
}

Library::Library(Library&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), file_(std::move(other.file_)) {}

Library::~Library() {
  if (handle_) ::dlclose(handle_);
}

const void* Library::Symbol(const std::string& name) const { return ::dlsym(handle_, name.c_str()); }

}  // namespace relay::perf
