#include "keygen.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>

#include "base/fd.h"
#include "base/random.h"
#include "relay/result.h"

namespace relay::tools {
namespace {

int Fail(const std::string& what) {
  std::fprintf(stderr, "nccl-relay keygen: %s\n", what.c_str());
  return 1;
}

// As text, so that it survives every way in which operators hand secrets out.
std::string NewKey() {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (uint8_t byte : RandomValue<std::array<uint8_t, 32>>()) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out + "\n";
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return fsync(fd) == 0;
}

}  // namespace

int MakeKey(const std::string& path) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd && errno == EEXIST) {
    return Fail(path + " is there already: a fabric whose nodes hold different keys falls apart, so it stays as it is");
  }
  if (!fd) return Fail(FailErrno(ErrorCode::kSystem, "cannot make " + path).value().what);
  if (!WriteAll(fd.get(), NewKey())) {
    const std::string why = FailErrno(ErrorCode::kSystem, "cannot write " + path).value().what;
    unlink(path.c_str());
    return Fail(why);
  }
  std::printf(
      "%s holds a new key. Next:\n"
      "  1. copy it to every node of the fabric, readable by the agent alone:  scp -p %s NODE:%s\n"
      "  2. set NCCL_RELAY_KEY_FILE=%s for every agent, and for jobs where no daemon runs\n"
      "  3. restart the agents, or reload them (SIGHUP): until all hold it, they refuse each other\n",
      path.c_str(), path.c_str(), path.c_str(), path.c_str());
  return 0;
}

}  // namespace relay::tools
