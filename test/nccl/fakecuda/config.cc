#include "fakecuda/config.h"

#include <cstdlib>

#include "fakecuda/log.h"

namespace fakecuda {
namespace {

long Number(const char* name, long fallback, long lowest, long highest) {
  const char* text = getenv(name);
  if (!text || !*text) return fallback;
  char* end = nullptr;
  long value = strtol(text, &end, 0);
  if (*end || value < lowest || value > highest) Die("%s=%s: want a number in %ld..%ld", name, text, lowest, highest);
  return value;
}

int Small(const char* name, int fallback, int lowest, int highest) {
  return static_cast<int>(Number(name, fallback, lowest, highest));
}

}  // namespace

const Config& GetConfig() {
  static const Config config{
      .log = Small("FAKECUDA_LOG", 0, 0, 3),
      .devices = Small("FAKECUDA_DEVICES", 1, 1, 16),
      .first_bus = Small("FAKECUDA_BUS", 0x10, 1, 0xe0),
      .sm = Small("FAKECUDA_SM", 90, 60, 120),
      .gdr = Small("FAKECUDA_GDR", 1, 0, 1),
      .dmabuf = Small("FAKECUDA_DMABUF", 0, 0, 1),
      .guard = Small("FAKECUDA_GUARD", 1, 0, 1),
      .p2p = Small("FAKECUDA_P2P", 0, 0, 1),
      .flip_interval = Number("FAKECUDA_FLIP_BIT", 0, 0, 1L << 40),
  };
  return config;
}

}  // namespace fakecuda
