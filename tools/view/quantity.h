// Numbers with units, short enough for a table.
#pragma once
#include <cstdint>
#include <string>

namespace relay::view {

// "940 Mbit/s", "9.41 Gbit/s", "0": three digits, powers of 1000.
std::string RateText(double bits_s);
// How fast a link or port is: "1 Gbit/s", "2.5 Gbit/s"; 0: "unknown speed".
std::string SpeedText(uint32_t mbit);
// "17 B", "1.18 GB".
std::string BytesText(uint64_t bytes);
// "0.3 s", "42 s", "3 min 5 s", "2 h 10 min", "5 d 3 h".
std::string AgeText(uint64_t ms);
// "250 us", "1.2 ms"; 0: "-".
std::string MicrosText(uint64_t us);
// "1 link", "2 links".
std::string CountText(size_t count, const std::string& noun);

}  // namespace relay::view
