// fuzz_seeds CORPUS: the seeds that are encoded messages, one file each, into CORPUS/<target>/.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "agent/discovery/hello.h"
#include "agent/session/message.h"
#include "base/codec.h"
#include "circuit/offer.h"
#include "comm/handle.h"
#include "fabric/link_state.h"
#include "relay/control.h"
#include "relay/frame.h"
#include "relay/setup.h"
#include "transport/rdma/hop_offer.h"
#include "transport/rdma/packet.h"

namespace {

using namespace relay;

std::filesystem::path g_corpus;

void Write(const std::string& name, std::span<const std::byte> bytes) {
  std::filesystem::path path = g_corpus / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

OpenMessage Open() {
  return {.name = {.connection = 1, .epoch = 3},
          .agreement = 5,
          .source = 1,
          .source_name = "A",
          .route = {{1, 2, "ab", "ba"}, {2, 3, "bc", "cb"}},
          .hop = 1,
          .offer = {std::byte{7}},
          .build = "0.1.0",
          .plugin = "/usr/lib/libnccl-net-relay.so",
          .settled_s = 9};
}

void WriteFrames() {
  Write("frame/data", EncodeFrame({.message = 1, .offset = 8, .length = 8, .total = 16}));
  const std::pair<const char*, FrameType> kinds[] = {{"cts", FrameType::kCts},
                                                     {"ack", FrameType::kAck},
                                                     {"resume", FrameType::kResume},
                                                     {"close", FrameType::kClose},
                                                     {"ping", FrameType::kPing}};
  for (auto [name, type] : kinds) Write(std::string("frame/") + name, EncodeFrame({.type = type, .message = 1}));
}

void WriteSetup() {
  Write("setup/open", EncodeOpen(Open()));
  OpenMessage longest = Open();
  longest.route.assign(kMaxHops, {1, 2, "", ""});
  Write("setup/open_longest", EncodeOpen(longest));
  OpenMessage parallel = Open();
  parallel.hop = 0;
  parallel.route.resize(1);
  parallel.parallel.assign(2, {1, 2, "ab2", "ba2"});
  Write("setup/open_parallel", EncodeOpen(parallel));
  Write("setup/opened", EncodeOpened({.name = Open().name, .offer = {std::byte{1}, std::byte{2}}, .build = "0.1.0"}));
  Write("setup/refused", EncodeRefused({.node = 2, .final = true, .code = RefusedCode::kNoPath, .sentence = "no"}));
}

// The first byte tells the fuzzer what the rest is (session_fuzz.cc).
void WriteSession() {
  using namespace agent;
  const auto tagged = [](int tag, std::span<const std::byte> bytes) {
    std::vector<std::byte> out{static_cast<std::byte>(tag)};
    out.insert(out.end(), bytes.begin(), bytes.end());
    return out;
  };
  const auto session = EncodeBody(SessionMessage{1, "A", 5, "0.1.0", "ab", "ba", 21517});
  Write("session/session", tagged(0, session));
  Write("session/survey", tagged(0, EncodeBody(SurveyMessage{1, 2, 500, "flows"})));
  Write("session/finding", tagged(0, EncodeBody(FindingsMessage{7, 7, false, {3, "C", "{}"}})));
  Write("session/last", tagged(0, EncodeBody(FindingsMessage{7, 7, true, {}})));
  auto frames = EncodeSetup(SetupType::kPing, std::vector<std::byte>(8));
  const auto table = EncodeSetup(SetupType::kTable, std::vector<std::byte>(20));
  frames.insert(frames.end(), table.begin(), table.end());
  Write("session/frames", tagged(2, frames));
  Write("session/refused", tagged(3, EncodeRefused({.node = 2, .sentence = "no"})));
  ByteWriter greeting;
  greeting.Put<uint8_t>(static_cast<uint8_t>(SetupType::kProve));
  greeting.Put<uint8_t>(22);
  greeting.PutBytes(std::vector<std::byte>(44));
  greeting.Put<uint8_t>(static_cast<uint8_t>(SetupType::kProof));
  greeting.Put<uint8_t>(16);
  greeting.PutBytes(std::vector<std::byte>(32));
  for (int tag = 4; tag < 8; ++tag) Write("session/greeting" + std::to_string(tag), tagged(tag, greeting.bytes()));
}

void WriteControl() {
  using namespace control;
  const std::pair<const char*, Message> packets[] = {
      {"hello", Hello{kVersion, "0.1.0"}},
      {"register", Register{}},
      {"unregister", Unregister{}},
      {"connect", Connect{.node = 3, .token = {}, .name = {}, .agreement = 5, .avoid = {{1, 2, "ab", "ba"}}}},
      {"watch", Watch{1, 2, true, {{1, 2, "ab", "ba"}}}},
      {"unwatch", Unwatch{1}},
      {"link_lost", LinkLost{1, "link A-B is down"}},
      {"better_path", BetterPath{1, "A ab--ba B"}},
      {"cancel", Cancel{}},
      {"query", Query{"status"}},
      {"welcome",
       Welcome{.build = "0.1.0", .node_name = "A", .devices = {{"relay0", "", 1000}}, .verbs = {{"mlx5_0", 1}}}},
      {"connected", Connected{{.name = Open().name, .offer = {}}, "A ab--ba B"}},
      {"failed", Failed{{.node = 2, .sentence = "no"}}},
      {"arrived", Arrived{Open(), "A ab--ba B", "", "mlx5_0", 1, {{"mlx5_1", 1}}}},
      {"answer", Answer{"{}"}},
      {"prepare", Prepare{"mlx5_0", 1, 2, 100, {{"mlx5_1", 1, 100}}}},
      {"prepared", Prepared{{std::byte{1}}, "no"}}};
  for (const auto& [name, message] : packets) Write(std::string("control/") + name, Encode({9, message}));
}

// The first byte tells the fuzzer what the rest is: 0 a record, 1 a message, 2 messages of two sessions.
void WriteLinkState() {
  using namespace fabric;
  const auto tagged = [](uint8_t tag, std::span<const std::byte> bytes) {
    ByteWriter out;
    out.Put<uint8_t>(tag);
    out.PutBytes(bytes);
    return out.take();
  };
  Record record;
  record.node = 2;
  record.edition = {1, 1};
  record.name = "B";
  record.build = "0.1.0";
  record.agent_port = 21517;
  record.ports = {{"p", {*SocketAddress::Parse("10.0.0.2"), *SocketAddress::Parse("fe80::2")}, 1000}};
  record.ports[0].last_resort = true;
  record.ports.push_back({"ib0", {*SocketAddress::Parse("10.0.1.2")}, 56000, PortKind::kRdma, false, true});
  record.neighbours = {{0, 1, "p", 5, false}, {0, 3, "q", 0, true}};
  const SealedRecord sealed{EncodeRecord(record), {}, 1000};
  record.node = 1;
  record.edition = {9, 9};
  const SealedRecord clone{EncodeRecord(record), {}, 0};
  const std::pair<const char*, LinkStateMessage> messages[] = {
      {"records", message::Records{{sealed}}},
      {"digest", message::Digest{7}},
      {"summary", message::Summary{{{1, {1, 1}}, {3, {1, 2}}}, false}},
      {"clone", message::Records{{clone}}}};
  Write("link_state/record", tagged(0, sealed.bytes));
  ByteWriter sequence;
  for (const auto& [name, message] : messages) {
    const auto bytes = EncodeLinkState(message);
    Write(std::string("link_state/") + name, tagged(1, bytes));
    sequence.Put<uint8_t>(static_cast<uint8_t>(bytes.size()));
    sequence.Put<uint8_t>(30);
    sequence.Put<uint16_t>(static_cast<uint16_t>(bytes.size()));
    sequence.PutBytes(bytes);
  }
  Write("link_state/sequence", tagged(2, sequence.bytes()));
}

void WriteRdma() {
  using namespace transport::rdma;
  HopOffer offer{.endpoint = {.queue_pair = 17, .first_packet = 99, .gids = {{.index = 1, .type = GidType::kRoce2}}},
                 .window = {4096, 7}};
  offer.endpoint.gids[0].bytes[15] = std::byte{1};
  Write("rdma/dialler", EncodeHopOffer(offer));
  Write("rdma/parallel", EncodeLaneOffer({.first = offer, .parallel = {offer, std::nullopt, offer}}));
  offer.endpoint.chosen = offer.endpoint.own = 0;
  offer.slots = 16;
  offer.slot_bytes = 131072;
  Write("rdma/answer", EncodeHopOffer(offer));
  Write("rdma/opened", circuit::EncodeOffer({.eager_bytes = 16384, .rdma = EncodeHopOffer(offer)}));
  const Packet packets[] = {{.type = PacketType::kData, .key = 3, .length = 100, .total = 100},
                            {.type = PacketType::kCts, .key = 3, .message = 5, .total = 4096, .address = 1, .whole = 4},
                            {.type = PacketType::kAck, .whole = 9}};
  for (const Packet& packet : packets) {
    Write("rdma/packet" + std::to_string(static_cast<int>(packet.type)), EncodePacket(packet));
  }
}

void WriteHellos() {
  agent::Hello hello;
  hello.node = 1;
  hello.incarnation = 2;
  hello.sequence = 3;
  hello.name = "A";
  hello.port = "ab";
  hello.agent_port = 21517;
  Write("hello/first", agent::EncodeHello(hello, {}));
  hello.answer_wanted = hello.leaving = true;
  hello.heard = {{2, "ba"}, {3, "ca"}};
  Write("hello/heard", agent::EncodeHello(hello, {}));
  agent::Hello padded = hello;
  padded.heard.clear();
  padded.padded = true;
  padded.longest = 9000;
  padded.rounds = 4;
  padded.bytes = 1232;
  Write("hello/padded", agent::EncodeHello(padded, {}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  g_corpus = argv[1];
  WriteFrames();
  WriteSetup();
  WriteSession();
  WriteControl();
  WriteHellos();
  WriteLinkState();
  WriteRdma();
  std::byte handle[comm::kHandleBytes];
  comm::EncodeHandle({.port = 21517, .node = 3, .agreement = 5, .node_name = "C"}, handle);
  Write("handle/c", handle);
  return 0;
}
