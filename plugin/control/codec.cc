#include <algorithm>
#include <type_traits>

#include "base/codec.h"
#include "relay/control.h"

namespace relay::control {
namespace {

constexpr uint32_t kMagic = 0x434c526e;  // "nRLC" on the wire
constexpr size_t kHeaderBytes = 16;
constexpr size_t kMaxBuild = 64;
constexpr size_t kMaxQuestion = 64;
constexpr size_t kMaxPlugin = 512;
constexpr size_t kMaxAddresses = 16;
constexpr size_t kMaxNote = 1024;
constexpr size_t kMaxPciPath = 256;
constexpr size_t kMaxDevices = 64;
constexpr size_t kMaxPath = 16 * 1024;
constexpr size_t kMaxParallelPortBytes = 2 + kMaxNameBytes + 2 + 4 + 2 + kMaxAddresses * (2 + kMaxNameBytes);
static_assert(kHeaderBytes + 4 + kSetupPrefixBytes + kMaxSetupBody + 2 + kMaxPath + 2 + kMaxNote + 2 +
                  kMaxHops * (16 + 2 * (2 + kMaxNameBytes)) <=
              kMaxPacket);
static_assert(kHeaderBytes + 4 + kSetupPrefixBytes + kMaxSetupBody + 2 + kMaxPath + 2 + kMaxNote + 2 + kMaxNameBytes +
                  2 + 2 + kMaxParallelLinks * kMaxParallelPortBytes <=
              kMaxPacket);

// One Put and one Get per message, side by side: what the one writes, the other reads.
void Put(ByteWriter& out, const Token& token) { out.PutBytes(token); }
void Get(ByteReader& in, Token& token) {
  auto bytes = in.GetBytes(token.size());
  if (in.ok()) std::copy(bytes.begin(), bytes.end(), token.begin());
}

// As text: "10.0.0.1:21517", "[fe80::1]:21517".
void Put(ByteWriter& out, const std::vector<SocketAddress>& addresses) {
  const size_t count = std::min(addresses.size(), kMaxAddresses);
  out.Put<uint16_t>(static_cast<uint16_t>(count));
  for (size_t i = 0; i < count; ++i) out.PutString(addresses[i].ToText());
}
bool Get(ByteReader& in, std::vector<SocketAddress>& addresses) {
  const size_t count = in.Get<uint16_t>();
  if (count > kMaxAddresses) return false;
  for (size_t i = 0; i < count && in.ok(); ++i) {
    auto address = SocketAddress::ParseWithPort(in.GetString(kMaxNameBytes));
    if (!address) return false;
    addresses.push_back(*address);
  }
  return true;
}

void Put(ByteWriter& out, const std::vector<ParallelPort>& ports) {
  const size_t count = std::min(ports.size(), kMaxParallelLinks);
  out.Put<uint16_t>(static_cast<uint16_t>(count));
  for (size_t i = 0; i < count; ++i) {
    out.PutString(ports[i].device);
    out.Put<uint16_t>(ports[i].port);
    out.Put<uint32_t>(ports[i].speed_mbit);
    Put(out, ports[i].addresses);
  }
}
bool Get(ByteReader& in, std::vector<ParallelPort>& ports) {
  const size_t count = in.Get<uint16_t>();
  if (count > kMaxParallelLinks) return false;
  for (size_t i = 0; i < count && in.ok(); ++i) {
    ParallelPort port;
    port.device = in.GetString(kMaxNameBytes);
    port.port = in.Get<uint16_t>();
    port.speed_mbit = in.Get<uint32_t>();
    // Both ends' or none.
    if (!Get(in, port.addresses) || (port.addresses.size() != 0 && port.addresses.size() != 2)) return false;
    ports.push_back(std::move(port));
  }
  return true;
}

void Put(ByteWriter& out, const std::vector<RouteHop>& route) {
  const size_t count = std::min(route.size(), kMaxHops);
  out.Put<uint16_t>(static_cast<uint16_t>(count));
  for (size_t i = 0; i < count; ++i) {
    out.Put<uint64_t>(route[i].from);
    out.Put<uint64_t>(route[i].to);
    out.PutString(route[i].from_port);
    out.PutString(route[i].to_port);
  }
}
bool Get(ByteReader& in, std::vector<RouteHop>& route) {
  const size_t count = in.Get<uint16_t>();
  if (count > kMaxHops) return false;
  for (size_t i = 0; i < count && in.ok(); ++i) {
    RouteHop hop;
    hop.from = in.Get<uint64_t>();
    hop.to = in.Get<uint64_t>();
    hop.from_port = in.GetString(kMaxNameBytes);
    hop.to_port = in.GetString(kMaxNameBytes);
    route.push_back(std::move(hop));
  }
  return true;
}

void Put(ByteWriter& out, const Hello& m) {
  out.Put<uint16_t>(m.version);
  out.PutString(m.build);
  out.PutString(std::string_view(m.plugin).substr(0, kMaxPlugin));
}
bool Get(ByteReader& in, Hello& m) {
  m.version = in.Get<uint16_t>();
  m.build = in.GetString(kMaxBuild);
  m.plugin = in.GetString(kMaxPlugin);
  return true;
}

void Put(ByteWriter& out, const Register& m) { Put(out, m.token); }
bool Get(ByteReader& in, Register& m) {
  Get(in, m.token);
  return true;
}

void Put(ByteWriter& out, const Unregister& m) { Put(out, m.token); }
bool Get(ByteReader& in, Unregister& m) {
  Get(in, m.token);
  return true;
}

void Put(ByteWriter& out, const Connect& m) {
  out.Put<uint64_t>(m.node);
  Put(out, m.token);
  out.Put<uint64_t>(m.name.connection);
  out.Put<uint32_t>(m.name.epoch);
  out.Put<uint64_t>(m.agreement);
  Put(out, m.addresses);
  Put(out, m.source_token);
  out.Put<uint16_t>(static_cast<uint16_t>(m.purpose));
  Put(out, m.avoid);
}
bool Get(ByteReader& in, Connect& m) {
  m.node = in.Get<uint64_t>();
  Get(in, m.token);
  m.name.connection = in.Get<uint64_t>();
  m.name.epoch = in.Get<uint32_t>();
  m.agreement = in.Get<uint64_t>();
  if (!Get(in, m.addresses)) return false;
  Get(in, m.source_token);
  const auto purpose = in.Get<uint16_t>();
  m.purpose = static_cast<Purpose>(purpose);
  return purpose <= static_cast<uint16_t>(Purpose::kInquire) && Get(in, m.avoid);
}

void Put(ByteWriter& out, const Watch& m) {
  out.Put<uint64_t>(m.connection);
  out.Put<uint64_t>(m.node);
  out.Put<uint16_t>(m.source ? 1 : 0);
  Put(out, m.route);
}
bool Get(ByteReader& in, Watch& m) {
  m.connection = in.Get<uint64_t>();
  m.node = in.Get<uint64_t>();
  m.source = in.Get<uint16_t>() != 0;
  return Get(in, m.route);
}

void Put(ByteWriter& out, const Unwatch& m) { out.Put<uint64_t>(m.connection); }
bool Get(ByteReader& in, Unwatch& m) {
  m.connection = in.Get<uint64_t>();
  return true;
}

void Put(ByteWriter& out, const LinkLost& m) {
  out.Put<uint64_t>(m.connection);
  out.PutString(std::string_view(m.sentence).substr(0, kMaxNote));
}
bool Get(ByteReader& in, LinkLost& m) {
  m.connection = in.Get<uint64_t>();
  m.sentence = in.GetString(kMaxNote);
  return true;
}

void Put(ByteWriter& out, const BetterPath& m) {
  out.Put<uint64_t>(m.connection);
  out.PutString(std::string_view(m.path).substr(0, kMaxPath));
}
bool Get(ByteReader& in, BetterPath& m) {
  m.connection = in.Get<uint64_t>();
  m.path = in.GetString(kMaxPath);
  return true;
}

void Put(ByteWriter&, const Cancel&) {}
bool Get(ByteReader&, Cancel&) { return true; }

void Put(ByteWriter& out, const Query& m) { out.PutString(m.question); }
bool Get(ByteReader& in, Query& m) {
  m.question = in.GetString(kMaxQuestion);
  return true;
}

void PutReach(ByteWriter& out, const Welcome& m) {
  out.Put<uint16_t>(static_cast<uint16_t>(m.rdma_reach));
  const size_t count = std::min(m.verbs.size(), kMaxDevices);
  out.Put<uint16_t>(static_cast<uint16_t>(count));
  for (size_t i = 0; i < count; ++i) {
    out.PutString(m.verbs[i].name);
    out.Put<uint16_t>(m.verbs[i].port);
  }
}
bool GetReach(ByteReader& in, Welcome& m) {
  const auto reach = in.Get<uint16_t>();
  if (reach > static_cast<uint16_t>(RdmaReach::kAll)) return false;
  m.rdma_reach = static_cast<RdmaReach>(reach);
  const size_t count = in.Get<uint16_t>();
  if (count > kMaxDevices) return false;
  for (size_t i = 0; i < count && in.ok(); ++i) {
    VerbsDevice device;
    device.name = in.GetString(kMaxNameBytes);
    device.port = in.Get<uint16_t>();
    m.verbs.push_back(std::move(device));
  }
  return true;
}

void Put(ByteWriter& out, const Welcome& m) {
  out.Put<uint16_t>(m.version);
  out.PutString(m.build);
  out.Put<uint64_t>(m.node);
  out.PutString(m.node_name);
  out.Put<uint16_t>(m.port);
  out.Put<uint64_t>(m.agreement);
  out.Put<uint16_t>(m.auto_started ? 1 : 0);
  out.Put<uint16_t>(static_cast<uint16_t>(m.devices.size()));
  for (const DeviceInfo& device : m.devices) {
    out.PutString(device.name);
    out.PutString(device.pci_path);
    out.Put<uint32_t>(device.speed_mbit);
  }
  Put(out, m.addresses);
  PutReach(out, m);
}
bool Get(ByteReader& in, Welcome& m) {
  m.version = in.Get<uint16_t>();
  m.build = in.GetString(kMaxBuild);
  m.node = in.Get<uint64_t>();
  m.node_name = in.GetString(kMaxNameBytes);
  m.port = in.Get<uint16_t>();
  m.agreement = in.Get<uint64_t>();
  m.auto_started = in.Get<uint16_t>() != 0;
  size_t devices = in.Get<uint16_t>();
  if (devices == 0 || devices > kMaxDevices) return false;
  for (size_t i = 0; i < devices && in.ok(); ++i) {
    DeviceInfo device;
    device.name = in.GetString(kMaxNameBytes);
    device.pci_path = in.GetString(kMaxPciPath);
    device.speed_mbit = in.Get<uint32_t>();
    m.devices.push_back(std::move(device));
  }
  return Get(in, m.addresses) && GetReach(in, m);
}

// A set-up message travels inside a packet as it travels on a hop.
void PutSetup(ByteWriter& out, const std::vector<std::byte>& whole) {
  out.Put<uint32_t>(static_cast<uint32_t>(whole.size()));
  out.PutBytes(whole);
}
template <class M>
bool GetSetup(ByteReader& in, SetupType type, Result<M> (*decode)(std::span<const std::byte>), M& m) {
  auto whole = in.GetBytes(in.Get<uint32_t>());
  if (whole.size() < kSetupPrefixBytes) return false;
  auto prefix = DecodeSetupPrefix(whole.first<kSetupPrefixBytes>());
  if (!prefix || prefix->type != type || prefix->body_length != whole.size() - kSetupPrefixBytes) return false;
  auto decoded = decode(whole.subspan(kSetupPrefixBytes));
  if (decoded) m = std::move(*decoded);
  return decoded.has_value();
}

void Put(ByteWriter& out, const Connected& m) {
  PutSetup(out, EncodeOpened(m.opened));
  out.PutString(std::string_view(m.path).substr(0, kMaxPath));
  out.PutString(std::string_view(m.note).substr(0, kMaxNote));
  Put(out, m.route);
}
bool Get(ByteReader& in, Connected& m) {
  if (!GetSetup(in, SetupType::kOpened, DecodeOpened, m.opened)) return false;
  m.path = in.GetString(kMaxPath);
  m.note = in.GetString(kMaxNote);
  return Get(in, m.route);
}

// A refusal goes without its prefix, so that it can be read where the set-up messages are of another version.
void Put(ByteWriter& out, const Failed& m) {
  const auto whole = EncodeRefused(m.refused);
  out.PutBytes(std::span(whole).subspan(kSetupPrefixBytes));
}
bool Get(ByteReader& in, Failed& m) {
  auto refused = DecodeRefused(in.GetBytes(in.remaining()));
  if (refused) m.refused = std::move(*refused);
  return refused.has_value();
}

void Put(ByteWriter& out, const Arrived& m) {
  PutSetup(out, EncodeOpen(m.open));
  out.PutString(std::string_view(m.path).substr(0, kMaxPath));
  out.PutString(std::string_view(m.note).substr(0, kMaxNote));
  out.PutString(m.device);
  out.Put<uint16_t>(m.device_port);
  Put(out, m.parallel);
}
bool Get(ByteReader& in, Arrived& m) {
  if (!GetSetup(in, SetupType::kOpen, DecodeOpen, m.open)) return false;
  m.path = in.GetString(kMaxPath);
  m.note = in.GetString(kMaxNote);
  m.device = in.GetString(kMaxNameBytes);
  m.device_port = in.Get<uint16_t>();
  return Get(in, m.parallel);
}

void Put(ByteWriter& out, const Prepare& m) {
  out.PutString(m.device);
  out.Put<uint16_t>(m.port);
  out.Put<uint16_t>(m.relays);
  out.Put<uint32_t>(m.speed_mbit);
  Put(out, m.parallel);
}
bool Get(ByteReader& in, Prepare& m) {
  m.device = in.GetString(kMaxNameBytes);
  m.port = in.Get<uint16_t>();
  m.relays = in.Get<uint16_t>();
  m.speed_mbit = in.Get<uint32_t>();
  return Get(in, m.parallel);
}

void Put(ByteWriter& out, const Prepared& m) {
  const size_t size = std::min(m.offer.size(), kMaxOfferBytes);
  out.Put<uint16_t>(static_cast<uint16_t>(size));
  out.PutBytes(std::span(m.offer).first(size));
  out.PutString(std::string_view(m.why_not).substr(0, kMaxNote));
}
bool Get(ByteReader& in, Prepared& m) {
  const size_t size = in.Get<uint16_t>();
  if (size > kMaxOfferBytes) return false;
  const auto bytes = in.GetBytes(size);
  m.offer.assign(bytes.begin(), bytes.end());
  m.why_not = in.GetString(kMaxNote);
  return true;
}

void Put(ByteWriter& out, const Answer& m) {
  out.Put<uint16_t>(m.more ? 1 : 0);
  out.PutString(std::string_view(m.text).substr(0, kMaxAnswerText));
}
bool Get(ByteReader& in, Answer& m) {
  m.more = in.Get<uint16_t>() != 0;
  m.text = in.GetString(kMaxAnswerText);
  return true;
}

// The type on the wire is the message's place in Message, from 1 on.
template <size_t I = 0>
bool GetMessage(ByteReader& in, size_t type, Message& message) {
  if constexpr (I < std::variant_size_v<Message>) {
    if (type != I + 1) return GetMessage<I + 1>(in, type, message);
    return Get(in, message.emplace<I>());
  } else {
    return false;
  }
}

}  // namespace

std::vector<std::byte> Encode(const Packet& packet) {
  ByteWriter out;
  out.Put<uint32_t>(kMagic);
  out.Put<uint32_t>(static_cast<uint32_t>(packet.message.index() + 1));
  out.Put<uint64_t>(packet.request);
  std::visit([&](const auto& m) { Put(out, m); }, packet.message);
  return out.take();
}

Result<Packet> Decode(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  if (in.Get<uint32_t>() != kMagic) return Fail(ErrorCode::kRemote, "not a packet of nccl-relay: wrong magic");
  const size_t type = in.Get<uint32_t>();
  Packet packet;
  packet.request = in.Get<uint64_t>();
  if (!GetMessage(in, type, packet.message) || !in.AtEnd()) {
    return Fail(ErrorCode::kRemote, "malformed packet on the control socket (type " + std::to_string(type) + ")");
  }
  return packet;
}

}  // namespace relay::control
