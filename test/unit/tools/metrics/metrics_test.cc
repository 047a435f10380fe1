// Metrics: the text format, what becomes a metric, and an HTTP server that takes nothing but small requests.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "base/fd.h"
#include "base/random.h"
#include "metrics/families.h"
#include "metrics/server.h"

namespace relay::metrics {
namespace {

using view::Json;

TEST(Exposition, EscapesAndKeepsWholeNumbersWhole) {
  EXPECT_EQ(
      Expose({{"a_total", "help \\ with\nlines", Kind::kCounter, {{{{"x", "a\"b\\c\nd"}}, 1234567890123}}},
              {"empty", "no sample", Kind::kGauge, {}},
              {"b", "half", Kind::kGauge, {{{}, 0.5}, {{{"k", ""}}, 0}}}}),
      "# HELP a_total help \\\\ with\\nlines\n# TYPE a_total counter\na_total{x=\"a\\\"b\\\\c\\nd\"} 1234567890123\n"
      "# HELP b half\n# TYPE b gauge\nb 0.5\nb{k=\"\"} 0\n");
}

Json StatusWithPorts(size_t ports, size_t neighbours) {
  Json status = {{"name", "B"}, {"build", "0.1.0"}, {"agreement", "ffffdeadbeef0001"}, {"uptime_s", 5}};
  status["counters"] = {{"relayed_bytes", 9}, {"not_in_the_table", 1}};
  status["ports"] = Json::array();
  for (size_t p = 0; p < ports; ++p) {
    Json port = {{"port", "p" + std::to_string(p)}, {"up", true}, {"speed_mbit", 1000}, {"neighbours", Json::array()}};
    for (size_t n = 0; n < neighbours; ++n) port["neighbours"].push_back({{"node", "N" + std::to_string(n)}});
    status["ports"].push_back(port);
  }
  return status;
}

const Family* Find(const std::vector<Family>& families, const std::string& name) {
  for (const Family& family : families) {
    if (family.name == name) return &family;
  }
  return nullptr;
}

TEST(Families, FollowTheConventions) {
  const Json flows = Json::parse(R"({"ports":[{"port":"p0","received_bytes":7,"sent_bytes":8,"errors":0,"drops":1}],
    "circuits":[{"hops":[{"port":"p0","rtt_us":1500},{"port":"gone","rtt_us":9}]}]})");
  const auto families = FamiliesOf(StatusWithPorts(1, 2), flows);
  std::set<std::string> names;
  for (const Family& family : families) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name << " twice";
    EXPECT_EQ(family.name.rfind("nccl_relay_", 0), 0u) << family.name;
    EXPECT_EQ(family.name.ends_with("_total"), family.kind == Kind::kCounter) << family.name;
    EXPECT_FALSE(family.help.empty());
    for (const Sample& sample : family.samples) {
      EXPECT_EQ(sample.labels.front(), (std::pair<std::string, std::string>("node", "B")));
    }
  }
  const Family* received = Find(families, "nccl_relay_port_received_bytes_total");
  ASSERT_TRUE(received != nullptr && received->samples.size() == 1);
  EXPECT_EQ(received->samples[0].value, 7);
  EXPECT_EQ(received->samples[0].labels[2].second, "N0,N1");
  EXPECT_DOUBLE_EQ(Find(families, "nccl_relay_port_rtt_seconds")->samples[0].value, 0.0015);
  EXPECT_EQ(Find(families, "nccl_relay_port_speed_bytes_per_second")->samples[0].value, 125e6);
  EXPECT_EQ(Find(families, "nccl_relay_relayed_bytes_total")->samples[0].value, 9);
  EXPECT_EQ(Find(families, "nccl_relay_not_in_the_table_total"), nullptr);
  EXPECT_EQ(Find(families, "nccl_relay_fabric_agreement")->samples[0].value, double{0xdeadbeef0001});
}

TEST(Families, RegisteredMemoryIsToldByWhatItLiesIn) {
  Json status = StatusWithPorts(0, 0);
  status["registered"] = {{"bytes", 12}, {"limit", 100}, {"host", 4}, {"huge", 8}, {"gpu", 0}};
  const auto families = FamiliesOf(status, Json::object());
  const Family* registered = Find(families, "nccl_relay_registered_bytes");
  ASSERT_TRUE(registered && registered->samples.size() == 3);
  EXPECT_EQ(registered->samples[1].labels.back(), (std::pair<std::string, std::string>("memory", "huge")));
  EXPECT_EQ(registered->samples[1].value, 8);
  EXPECT_EQ(Find(families, "nccl_relay_registered_limit_bytes")->samples.front().value, 100);
}

TEST(Families, SeriesAreBounded) {
  size_t series = 0;
  const auto families = FamiliesOf(StatusWithPorts(5000, 5), Json::object());
  for (const Family& family : families) series += family.samples.size();
  EXPECT_LT(series, 2 * 256 + 100u);
  EXPECT_EQ(Find(families, "nccl_relay_port_up")->samples[0].labels[2].second, "5 nodes");
  EXPECT_FALSE(FamiliesOf(Json(), Json::array()).empty()) << "whatever an agent answers";
}

// ---- HTTP
// ------------------------------------------------------------------------------------------------------------

class Server : public testing::Test {
 protected:
  // Nobody answers at this control socket.
  const std::string nobody_ = "@nccl-relay-test-" + std::to_string(RandomValue<uint64_t>());
  std::unique_ptr<MetricsServer> server_;

  void SetUp() override {
    auto server = MetricsServer::Start("127.0.0.1:0", nobody_);
    ASSERT_TRUE(server) << server.error().what;
    server_ = std::move(*server);
  }
  Fd Call() const {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return fd;
  }
  static std::string Rest(const Fd& fd) {
    std::string out;
    char room[4096];
    pollfd ready{fd.get(), POLLIN, 0};
    while (poll(&ready, 1, 20000) == 1) {
      const ssize_t n = recv(fd.get(), room, sizeof room, 0);
      if (n <= 0) break;
      out.append(room, static_cast<size_t>(n));
    }
    return out;
  }
  std::string Ask(const std::string& request) const {
    const Fd fd = Call();
    EXPECT_EQ(send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    return Rest(fd);
  }
};

TEST_F(Server, WithoutAnAgentItSaysWhy) {
  const std::string health = Ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(health.rfind("HTTP/1.1 503", 0), 0u) << health;
  EXPECT_NE(health.find("\"status\":\"failing\",\"reason\":\"no agent"), std::string::npos) << health;
  EXPECT_EQ(Ask("GET /metrics?x=y HTTP/1.1\r\n\r\n").rfind("HTTP/1.1 503", 0), 0u);
}

TEST_F(Server, OtherRequestsAreRefused) {
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\n\r\n").rfind("HTTP/1.1 404", 0), 0u);
  EXPECT_EQ(Ask("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n").rfind("HTTP/1.1 405", 0), 0u);
  EXPECT_EQ(Ask("\x16\x03\x01 nonsense\r\n\r\n").rfind("HTTP/1.1 400", 0), 0u);
  const std::string head = Ask("HEAD /nothing HTTP/1.1\r\n\r\n");
  EXPECT_EQ(head.rfind("HTTP/1.1 404", 0), 0u);
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << "no body";
  EXPECT_EQ(Ask("GET /healthz HTTP/1.1\r\nContent-Length: 900000\r\n\r\n").rfind("HTTP/1.1 400", 0), 0u);
}

TEST_F(Server, AnEndlessHeaderIsCutOff) {
  const Fd fd = Call();
  const std::string line = "X-Filler: " + std::string(1000, 'x') + "\r\n";
  std::string request = "GET /metrics HTTP/1.1\r\n";
  for (int i = 0; i < 20; ++i) request += line;
  send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  const std::string answer = Rest(fd);  // a reset may overtake the 400
  EXPECT_TRUE(answer.empty() || answer.rfind("HTTP/1.1 400", 0) == 0) << answer;
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\n\r\n").rfind("HTTP/1.1 404", 0), 0u) << "others are served";
}

TEST_F(Server, BeyondAFewConnectionsTheNextIsClosedAndAnEndedOneMakesRoom) {
  std::vector<Fd> silent;
  for (int i = 0; i < 8; ++i) silent.push_back(Call());
  EXPECT_EQ(Rest(Call()), "");
  silent.pop_back();
  std::string answer;
  for (int i = 0; i < 1000 && answer.empty(); ++i) answer = Ask("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer.rfind("HTTP/1.1 404", 0), 0u);
}

TEST_F(Server, EndsWithConnectionsOpen) {
  const Fd half = Call();
  ASSERT_EQ(send(half.get(), "GET /me", 7, MSG_NOSIGNAL), 7);
  server_.reset();
  EXPECT_EQ(Rest(half), "");
}

TEST(ServerAddress, IsCheckedAndDefaultsToLoopback) {
  for (const char* bad : {"", "x", "127.0.0.1", "127.0.0.1:x", "1.2.3.4.5:1", "127.0.0.1:70000", "host:80", ":"}) {
    auto server = MetricsServer::Start(bad, "@nobody");
    ASSERT_FALSE(server) << bad;
    EXPECT_EQ(server.error().code, ErrorCode::kUsage) << server.error().what;
  }
  auto server = MetricsServer::Start(":0", "@nobody");
  ASSERT_TRUE(server);
  auto taken = MetricsServer::Start("127.0.0.1:" + std::to_string((*server)->port()), "@nobody");
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().what.find("Address already in use"), std::string::npos) << taken.error().what;
}

}  // namespace
}  // namespace relay::metrics
