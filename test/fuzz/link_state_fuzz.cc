// Link state: what is accepted is written back as the same bytes, and no message makes a table inconsistent. The first
// byte says what the rest is: a record, or messages of two sessions, each with its length before it.
#include "base/codec.h"
#include "fabric/link_state.h"
#include "fuzz/check.h"

namespace {

using namespace relay;
using namespace relay::fabric;

void TryRecord(std::span<const std::byte> bytes) {
  const auto record = DecodeRecord(bytes);
  if (!record) {
    fuzz::Check(!record.error().what.empty());
    return;
  }
  const auto again = EncodeRecord(*record);
  fuzz::Check(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  fuzz::Check(EncodeRecord(WithinBounds(*record)) == EncodeRecord(*record));
}

std::optional<LinkStateMessage> TryMessage(std::span<const std::byte> bytes) {
  auto message = DecodeLinkState(bytes);
  if (!message) {
    fuzz::Check(!message.error().what.empty());
    return std::nullopt;
  }
  const auto again = EncodeLinkState(*message);
  fuzz::Check(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  return std::move(*message);
}

void TrySequence(std::span<const std::byte> bytes) {
  TimePoint now{std::chrono::hours(1)};
  LinkStateOptions options;
  options.self = 1;
  options.most_nodes = 8;
  LinkState::Hooks hooks;
  hooks.send = [](SessionId, const LinkStateMessage& message) {
    const auto encoded = EncodeLinkState(message);
    fuzz::Check(DecodeLinkState(encoded).has_value());
  };
  LinkState state(options, hooks);
  Record own;
  own.name = "self";
  own.ports.push_back({"p", {*SocketAddress::Parse("10.0.0.1")}, 100});
  own.neighbours.push_back({0, 2, "p", 0, false});
  state.Publish(own, now);
  for (SessionId session : {1, 2}) state.SessionUp(session, now);
  ByteReader in(bytes);
  while (in.ok() && !in.AtEnd()) {
    const auto session = in.Get<uint8_t>() % 2 + SessionId{1};
    now += std::chrono::seconds(in.Get<uint8_t>());
    const auto length = in.Get<uint16_t>();
    if (const auto message = TryMessage(in.GetBytes(length))) (void)state.Receive(session, *message, now);
    fuzz::Check(state.Tick(now) > now);
    fuzz::Check(state.size() <= 8 && state.Find(1) && state.Find(1)->name == "self");
  }
  const auto records = state.Records();
  const Fabric graph = MakeGraph(records, 1);
  const auto again = ParseFabric(PrintFabric(graph), "printed.json");
  fuzz::Check(again && AgreementHash(*again) == AgreementHash(graph));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = relay::fuzz::Bytes(data, size);
  if (bytes.empty()) return 0;
  switch (static_cast<uint8_t>(bytes[0]) % 3) {
    case 0:
      TryRecord(bytes.subspan(1));
      break;
    case 1:
      (void)TryMessage(bytes.subspan(1));
      break;
    default:
      TrySequence(bytes.subspan(1));
  }
  return 0;
}
