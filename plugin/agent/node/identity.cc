#include "agent/node/identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "base/fd.h"
#include "base/random.h"

namespace relay::agent {
namespace {

// Ours alone: whoever else could write there could make this node another one.
bool IsOwn(const std::string& directory) {
  struct stat facts {};
  return lstat(directory.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode) && facts.st_uid == geteuid() &&
         (facts.st_mode & 022) == 0 && access(directory.c_str(), W_OK) == 0;
}

bool Usable(const std::string& directory) {
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return false;
  return IsOwn(directory);
}

std::string FileOf(const std::string& directory) {
  struct stat network {};
  if (directory.empty() || stat("/proc/self/ns/net", &network) != 0) return "";
  return directory + "/node-" + std::to_string(network.st_ino);
}

bool Read(const std::string& file, Identity& out) {
  Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  char text[64] = "";
  if (!fd || read(fd.get(), text, sizeof text - 1) <= 0) return false;
  return sscanf(text, "%16" SCNx64 " %" SCNu64, &out.node, &out.incarnation) == 2 && out.node != 0;
}

// Whole or not at all, whenever this process ends.
bool Write(const std::string& file, const Identity& identity) {
  const std::string draft = file + "." + std::to_string(getpid());
  Fd fd(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return false;
  char text[64];
  const int size = snprintf(text, sizeof text, "%016" PRIx64 " %" PRIu64 "\n", identity.node, identity.incarnation);
  const bool written = write(fd.get(), text, static_cast<size_t>(size)) == size;
  if (written && rename(draft.c_str(), file.c_str()) == 0) return true;
  unlink(draft.c_str());
  return false;
}

}  // namespace

std::string RuntimeDirectory() {
  if (IsOwn("/run/nccl-relay")) return "/run/nccl-relay";
  const char* runtime = getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/' && Usable(std::string(runtime) + "/nccl-relay")) {
    return std::string(runtime) + "/nccl-relay";
  }
  const std::string own = "/tmp/nccl-relay-" + std::to_string(geteuid());
  return Usable(own) ? own : "";
}

Identity TakeIdentity(const std::string& directory, uint64_t now_ns) {
  const std::string file = FileOf(directory);
  Identity identity;
  const bool known = !file.empty() && Read(file, identity);
  while (!known && identity.node == 0) identity.node = RandomValue<uint64_t>();
  identity.incarnation = std::max(identity.incarnation + 1, now_ns);
  identity.kept = !file.empty() && Write(file, identity);
  return identity;
}

}  // namespace relay::agent
