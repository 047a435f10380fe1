// "nccl-relay fabric" and "nccl-relay explain".
#include <cstdio>
#include <thread>

#include "view/commands.h"
#include "view/drawing.h"
#include "view/explain.h"
#include "view/json.h"
#include "view/link_kind.h"
#include "view/questions.h"
#include "view/svg.h"

namespace relay::tools {
namespace {

// Long enough for a rate, short enough to wait for.
constexpr auto kSample = std::chrono::milliseconds(500);

struct FabricNow {
  fabric::Fabric fabric;
  std::string declaration, self;
  view::FabricLoad load;
  std::vector<std::string> tcp_ports;
};

Result<FabricNow> Look() {
  auto line = AgentLine::Open();
  RELAY_TRY(line);
  auto before = view::AskSurvey(*line);
  RELAY_TRY(before);
  std::this_thread::sleep_for(kSample);
  auto now = view::AskSurvey(*line);
  RELAY_TRY(now);
  FabricNow out;
  auto declaration = line->Ask("fabric");
  RELAY_TRY(declaration);
  out.declaration = std::move(*declaration);
  auto fabric = fabric::ParseFabric(out.declaration, "the agent's fabric");
  RELAY_TRY(fabric);
  out.fabric = std::move(*fabric);
  out.self = line->welcome().node_name;
  auto tcp_ports = view::AskTcpPorts(*line);
  RELAY_TRY(tcp_ports);
  out.tcp_ports = std::move(*tcp_ports);
  out.load = view::LoadOf(out.fabric, view::RatesBetween(*before, *now));
  return out;
}

std::string LiveJson(const FabricNow& now) {
  view::Json out = {{"fabric", view::Json::parse(now.declaration, nullptr, false)}, {"self", now.self}};
  view::Json links = view::Json::array(), paths = view::Json::array();
  for (size_t i = 0; i < now.fabric.links.size(); ++i) {
    const fabric::Link& link = now.fabric.links[i];
    const view::LinkLoad& load = now.load.links[i];
    const auto end = [&](const fabric::LinkEnd& at) {
      return now.fabric.nodes[at.node].name + "/" + now.fabric.nodes[at.node].ports[at.port].name;
    };
    links.push_back({{"ends", {end(link.a), end(link.b)}},
                     {"kind", view::KindText(link.kind)},
                     {"why_tcp", view::WhyTcp(now.fabric, link)},
                     {"known", load.known},
                     {"down", load.down},
                     {"onward_bits_s", load.a_to_b_bits_s},
                     {"back_bits_s", load.b_to_a_bits_s},
                     {"circuits", load.circuits},
                     {"retransmits_s", load.retransmits_s},
                     {"rtt_us", load.rtt_us}});
  }
  for (const view::PathLoad& path : now.load.paths) {
    paths.push_back({{"path", path.path},
                     {"from", path.from},
                     {"to", path.to},
                     {"circuits", path.circuits},
                     {"forward_bits_s", path.forward_bits_s},
                     {"backward_bits_s", path.backward_bits_s}});
  }
  out["links"] = std::move(links);
  out["paths"] = std::move(paths);
  out["silent"] = now.load.silent;
  out["tcp_ports"] = now.tcp_ports;
  return view::Dump(out, 2) + "\n";
}

Result<std::string> FabricText(FabricFormat format) {
  if (format == FabricFormat::kJson) {
    auto line = AgentLine::Open();
    RELAY_TRY(line);
    return line->Ask("fabric");
  }
  auto now = Look();
  RELAY_TRY(now);
  if (format == FabricFormat::kLive) return LiveJson(*now);
  if (format == FabricFormat::kSvg) return view::Svg(now->fabric, &now->load, now->self, now->tcp_ports);
  view::DrawingOptions options;
  options.glyphs = view::GlyphsHere();
  options.self = now->self;
  options.tcp_ports = now->tcp_ports;
  return view::Draw(now->fabric, &now->load, options);
}

struct Explained {
  std::string text;
  bool reached = false;
};

Result<Explained> ExplainNow(const std::string& from, const std::string& to, bool json) {
  auto line = AgentLine::Open();
  RELAY_TRY(line);
  auto fabric = view::AskFabric(*line);
  RELAY_TRY(fabric);
  auto a = view::NodeNamed(*fabric, from);
  RELAY_TRY(a);
  auto b = view::NodeNamed(*fabric, to);
  RELAY_TRY(b);
  const view::Explanation explanation = view::Explain(*fabric, *a, *b);
  return Explained{json ? view::ExplanationJson(*fabric, explanation) : view::ExplanationText(*fabric, explanation),
                   explanation.reached};
}

int Complain(const char* command, const Error& error) {
  std::fprintf(stderr, "nccl-relay %s: %s\n", command, error.what.c_str());
  return error.code == ErrorCode::kUsage ? 2 : 1;
}

}  // namespace

int Fabric(FabricFormat format) {
  auto text = FabricText(format);
  if (!text) return Complain("fabric", text.error());
  return std::fputs(text->c_str(), stdout) < 0;
}

int Explain(const std::string& from, const std::string& to, bool json) {
  auto explained = ExplainNow(from, to, json);
  if (!explained) return Complain("explain", explained.error());
  if (std::fputs(explained->text.c_str(), stdout) < 0) return 1;
  return explained->reached ? 0 : 1;
}

}  // namespace relay::tools
