// Which packets pass from a neighbour's port to this one. Ethernet has no word for "too long": a switch or tunnel that
// passes less than the ports' MTU drops what is longer, and small packets go on as if nothing were. So a port sends
// hellos that are padded to its MTU and to smaller sizes, in rounds, and the other side counts which come. Pure.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace relay::agent {

class PathMtu {
 public:
  // Packets of these sizes are tried beside those of the port's MTU: Ethernet's, and the least of IPv6.
  static constexpr std::array<uint32_t, 2> kSmaller = {1500, 1280};
  // What a port tries at most, whatever its MTU.
  static constexpr uint32_t kMost = 16 * 1024;
  // So many rounds without the longest: it does not pass. Less could be a wire that loses packets of any size.
  static constexpr uint32_t kMissed = 5;

  // A hello says: so long are the longest that this port tries (0: it tries none), and so many rounds have left it.
  void Said(uint32_t longest, uint32_t rounds);
  // One of so many bytes has come.
  void Came(uint32_t bytes);

  uint32_t longest() const { return longest_; }
  // The longest that passes; 0: whatever the port sends, as far as is known.
  uint32_t limit() const;

 private:
  uint32_t longest_ = 0, rounds_ = 0;
  uint32_t longest_came_ = 0;                        // in which round
  std::array<uint32_t, kSmaller.size()> came_ = {};  // of the smaller ones, likewise; 0: not yet
};

}  // namespace relay::agent
