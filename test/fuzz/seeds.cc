// fuzz_seeds CORPUS: the seeds that are encoded messages, one file each, into CORPUS/<target>/.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "comm/handle.h"
#include "relay/control.h"
#include "relay/frame.h"
#include "relay/setup.h"

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
  return {.name = {.connection = 1, .circuit = 2, .epoch = 3},
          .agreement = 5,
          .source = 1,
          .source_name = "A",
          .route = {{1, 2, "ab", "ba"}, {2, 3, "bc", "cb"}},
          .hop = 1,
          .offer = {std::byte{7}}};
}

void WriteFrames() {
  Write("frame/data", EncodeFrame({.flags = kPartEnd, .message = 1, .offset = 8, .length = 8, .total = 16}));
  const std::pair<const char*, FrameType> kinds[] = {{"cts", FrameType::kCts},       {"ack", FrameType::kAck},
                                                     {"credit", FrameType::kCredit}, {"resume", FrameType::kResume},
                                                     {"close", FrameType::kClose},   {"ping", FrameType::kPing}};
  for (auto [name, type] : kinds) Write(std::string("frame/") + name, EncodeFrame({.type = type, .message = 1}));
}

void WriteSetup() {
  Write("setup/open", EncodeOpen(Open()));
  OpenMessage longest = Open();
  longest.route.assign(kMaxHops, {1, 2, "", ""});
  Write("setup/open_longest", EncodeOpen(longest));
  Write("setup/opened", EncodeOpened({.name = Open().name, .offer = {std::byte{1}, std::byte{2}}}));
  Write("setup/refused", EncodeRefused({.node = 2, .final = true, .code = RefusedCode::kNoPath, .sentence = "no"}));
}

void WriteControl() {
  using namespace control;
  const std::pair<const char*, Message> packets[] = {
      {"hello", Hello{kVersion, "0.1.0"}},
      {"register", Register{}},
      {"unregister", Unregister{}},
      {"connect", Connect{.node = 3, .agreement = 5}},
      {"cancel", Cancel{}},
      {"query", Query{"status"}},
      {"welcome", Welcome{.build = "0.1.0", .node_name = "A", .devices = {{"relay0", "", 1000}}}},
      {"connected", Connected{{.name = Open().name, .offer = {}}, "A ab--ba B"}},
      {"failed", Failed{{.node = 2, .sentence = "no"}}},
      {"arrived", Arrived{Open(), "A ab--ba B"}},
      {"answer", Answer{"{}"}}};
  for (const auto& [name, message] : packets) Write(std::string("control/") + name, Encode({9, message}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  g_corpus = argv[1];
  WriteFrames();
  WriteSetup();
  WriteControl();
  std::byte handle[comm::kHandleBytes];
  comm::EncodeHandle({.port = 21517, .node = 3, .agreement = 5, .node_name = "C"}, handle);
  Write("handle/c", handle);
  return 0;
}
