#include "view/top_frame.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "unit/tools/view/readings.h"

namespace relay::view::top_frame_test {
namespace {

using namespace readings;

TopView ViewOf(size_t circuits) {
  const Relay relay;
  TopView view;
  view.self = "B";
  view.fabric = Chain();
  view.rates = RatesBetween(&relay.before, relay.now);
  const CircuitRate one = view.rates.circuits[0];
  view.rates.circuits.assign(circuits, one);
  view.rates.circuits_total = circuits;
  return view;
}

TEST(Top, ShowsPortsAndCircuits) {
  const auto lines = TopFrame(ViewOf(1), {100, 24}, Glyphs::kAscii);
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[0], "nccl-relay top: node B of chain-3, 1 circuit: 0 start here, 0 end here, 1 pass");
  EXPECT_EQ(lines[2], "PORT  TO         SPEED        IN       OUT  USED     RTT  RETRANSMITS/s");
  EXPECT_EQ(lines[3], "ba    A/ab  100 Mbit/s  8 Mbit/s  8 kbit/s   8 %  100 us              0");
  EXPECT_EQ(lines[4], "bc    C/cb  100 Mbit/s  8 kbit/s  8 Mbit/s   8 %  100 us              2");
  EXPECT_EQ(lines[6], "ROLE   PATH                       FORWARD           BACK  TOTAL     RTT    AGE  CONNECTION");
  EXPECT_EQ(lines[7], "relay  A ab--ba B bc--cb C  5.33 Mbit/s >  5.33 kbit/s <   1 MB  100 us  0.0 s  00000000.1");
}

TEST(Top, FitsAnyScreenAndCountsWhatItLeavesOut) {
  for (size_t circuits : {0, 1, 7, 500}) {
    TopView view = ViewOf(circuits);
    for (size_t ports = 2; ports < 40; ports += 9) {
      view.rates.ports.resize(ports, view.rates.ports[0]);
      for (size_t columns : {1, 10, 40, 80, 200}) {
        for (size_t rows : {1, 2, 5, 10, 24, 60}) {
          const auto lines = TopFrame(view, {columns, rows}, Glyphs::kUnicode);
          EXPECT_LE(lines.size(), rows);
          for (const std::string& line : lines) {
            const auto shown = std::count_if(line.begin(), line.end(),
                                             [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
            EXPECT_LE(static_cast<size_t>(shown), columns) << line;
          }
        }
      }
    }
  }
  const auto lines = TopFrame(ViewOf(500), {100, 24}, Glyphs::kAscii);
  EXPECT_EQ(lines.size(), 24u);
  EXPECT_EQ(lines.back(), "and 484 circuits with less");
}

TEST(Top, SaysThatTheAgentIsGone) {
  TopView view = ViewOf(1);
  view.complaint = "the agent of this node is gone";
  EXPECT_EQ(TopFrame(view, {80, 24}, Glyphs::kAscii)[1], "!! the agent of this node is gone");
}

TEST(Top, JsonIsOneLineWithTheSameFigures) {
  const std::string line = TopJson(ViewOf(2));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["node"], "B");
  EXPECT_EQ(json["ports"][0]["to"], "A/ab");
  EXPECT_DOUBLE_EQ(json["ports"][0]["used"], 0.08);
  EXPECT_EQ(json["circuits"].size(), 2u);
  EXPECT_EQ(json["circuits"][0]["role"], "relay");
  EXPECT_EQ(json["circuits"][0]["forward_bytes"], 1000000);
}

}  // namespace
}  // namespace relay::view::top_frame_test
