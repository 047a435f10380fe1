#include "agent/discovery/link_hardware.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "base/fd.h"

namespace relay::agent {
namespace {

constexpr size_t kMostMaskWords = 127;  // nwords is a signed byte

// The settings are followed by three masks of link modes, as many words each as the kernel asks for.
using LinkSettingsRequest = std::array<uint32_t, sizeof(ethtool_link_settings) / sizeof(uint32_t) + 3 * kMostMaskWords>;

bool AskEthtool(int fd, const std::string& interface, ethtool_link_settings& settings) {
  settings.cmd = ETHTOOL_GLINKSETTINGS;
  LinkSettingsRequest request{};
  std::memcpy(request.data(), &settings, sizeof settings);
  ifreq ask{};
  interface.copy(ask.ifr_name, sizeof ask.ifr_name - 1);
  ask.ifr_data = reinterpret_cast<char*>(request.data());
  if (ioctl(fd, SIOCETHTOOL, &ask) != 0) return false;
  std::memcpy(&settings, request.data(), sizeof settings);
  return true;
}

uint32_t EthtoolSpeed(const std::string& interface) {
  const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_link_settings settings{};
  // The first answer says, as a negative number, how many mask words this kernel has.
  if (!fd || !AskEthtool(fd.get(), interface, settings) || settings.link_mode_masks_nwords >= 0) return 0;
  const auto words = static_cast<int8_t>(-settings.link_mode_masks_nwords);
  settings = {};
  settings.link_mode_masks_nwords = words;
  if (!AskEthtool(fd.get(), interface, settings)) return 0;
  return settings.speed >= INT32_MAX ? 0 : settings.speed;  // SPEED_UNKNOWN is -1
}

uint32_t SysfsSpeed(const std::string& interface) {
  const Fd fd(open(("/sys/class/net/" + interface + "/speed").c_str(), O_RDONLY | O_CLOEXEC));
  char text[32] = "";
  if (!fd || read(fd.get(), text, sizeof text - 1) <= 0) return 0;
  const long mbit = strtol(text, nullptr, 10);
  return mbit > 0 && mbit < INT32_MAX ? static_cast<uint32_t>(mbit) : 0;
}

}  // namespace

uint32_t LinkSpeed(const std::string& interface) {
  const uint32_t speed = EthtoolSpeed(interface);
  return speed != 0 ? speed : SysfsSpeed(interface);
}

bool IsWireless(const std::string& interface) {
  const std::string path = "/sys/class/net/" + interface;
  return access((path + "/wireless").c_str(), F_OK) == 0 || access((path + "/phy80211").c_str(), F_OK) == 0;
}

}  // namespace relay::agent
