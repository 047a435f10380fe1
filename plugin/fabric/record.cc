#include "fabric/record.h"

#include <algorithm>
#include <cstdio>
#include <unordered_set>

#include "base/codec.h"
#include "fabric/names.h"

namespace relay::fabric {
namespace {

// version, node, incarnation and sequence, name, build, agent port, flags, ports, neighbours
constexpr uint8_t kRecordVersion = 1;
constexpr size_t kEditionOffset = 1 + 8, kContentOffset = kEditionOffset + 16;

enum RecordFlag : uint8_t { kDrainingFlag = 1 };
enum PortFlag : uint8_t { kRdmaFlag = 1, kLastResortFlag = 2, kInfinibandFlag = 4 };
constexpr int kPortFlags = kRdmaFlag | kLastResortFlag | kInfinibandFlag;
enum NeighbourFlag : uint8_t { kRoutedFlag = 1 };

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool IsText(std::string_view text) { return std::none_of(text.begin(), text.end(), IsControl); }

bool HasAddress(const Port& port, const SocketAddress& address) {
  return std::any_of(port.addresses.begin(), port.addresses.end(),
                     [&](const SocketAddress& known) { return known.SameHost(address); });
}

bool HasPort(const Record& record, std::string_view name) {
  return std::any_of(record.ports.begin(), record.ports.end(), [&](const Port& port) { return port.name == name; });
}

void PutAddress(ByteWriter& out, const SocketAddress& address) {
  out.Put<uint8_t>(address.family() == AF_INET6 ? 6 : 4);
  out.PutBytes(address.HostBytes());
}

// Empty when its family is none, or there are not enough bytes.
SocketAddress GetAddress(ByteReader& in) {
  const auto version = in.Get<uint8_t>();
  if (version != 4 && version != 6) return {};
  return SocketAddress::FromHostBytes(in.GetBytes(version == 4 ? sizeof(in_addr) : sizeof(in6_addr)));
}

void PutPort(ByteWriter& out, const Port& port) {
  out.PutString(port.name);
  out.Put<uint32_t>(port.speed_mbit);
  out.Put<uint8_t>(static_cast<uint8_t>((port.kind == PortKind::kRdma ? kRdmaFlag : 0) |
                                        (port.last_resort ? kLastResortFlag : 0) |
                                        (port.infiniband ? kInfinibandFlag : 0)));
  out.Put<uint8_t>(static_cast<uint8_t>(port.addresses.size()));
  for (const SocketAddress& address : port.addresses) PutAddress(out, address);
}

void PutNeighbour(ByteWriter& out, const Neighbour& neighbour) {
  out.Put<uint16_t>(neighbour.port);
  out.Put<uint64_t>(neighbour.node);
  out.PutString(neighbour.far_port);
  out.Put<uint32_t>(neighbour.latency_us);
  out.Put<uint8_t>(neighbour.routed ? kRoutedFlag : 0);
}

// Reads one record; each function checks what it takes and says what is wrong with it.
class RecordReader {
 public:
  explicit RecordReader(std::span<const std::byte> bytes) : in_(bytes) {}

  Result<Record> Read() {
    if (in_.remaining() > kMaxRecordBytes) return Complain("is longer than " + std::to_string(kMaxRecordBytes));
    if (const auto version = in_.Get<uint8_t>(); in_.ok() && version != kRecordVersion) {
      return Complain("is of version " + std::to_string(version) + ", and this build reads version 1");
    }
    RELAY_TRY(ReadHead());
    const auto ports = in_.Get<uint8_t>();
    if (ports > kMaxPorts) return Complain("has " + std::to_string(ports) + " ports");
    for (size_t i = 0; i < ports && in_.ok(); ++i) RELAY_TRY(ReadPort());
    const auto neighbours = in_.Get<uint16_t>();
    if (neighbours > kMaxNeighbours) return Complain("has " + std::to_string(neighbours) + " neighbours");
    for (size_t i = 0; i < neighbours && in_.ok(); ++i) RELAY_TRY(ReadNeighbour());
    if (!in_.ok()) return Complain("is cut short or holds a text that is too long");
    if (!in_.AtEnd()) return Complain("has " + std::to_string(in_.remaining()) + " bytes left over");
    return std::move(record_);
  }

 private:
  tl::unexpected<Error> Complain(const std::string& reason) const {
    const std::string of = record_.node == 0 ? "a node" : "node " + NodeIdText(record_.node);
    return Fail(ErrorCode::kRemote, "the link-state record of " + of + " " + reason);
  }

  Status ReadHead() {
    record_.node = in_.Get<uint64_t>();
    record_.edition.incarnation = in_.Get<uint64_t>();
    record_.edition.sequence = in_.Get<uint64_t>();
    record_.name = in_.GetString(kMaxHostNameBytes);
    record_.build = in_.GetString(kMaxBuildBytes);
    record_.agent_port = in_.Get<uint16_t>();
    const auto flags = in_.Get<uint8_t>();
    if (!in_.ok()) return {};
    if (record_.node == 0) return Complain("has no node id");
    if (record_.edition.sequence == 0 ||
        std::max(record_.edition.incarnation, record_.edition.sequence) > kMaxEdition) {
      return Complain("has an edition out of range");
    }
    if (!IsText(record_.name) || !IsText(record_.build)) return Complain("has control characters in its name");
    if ((flags & ~kDrainingFlag) != 0) return Complain("has unknown flags");
    record_.draining = (flags & kDrainingFlag) != 0;
    return {};
  }

  Status ReadPort() {
    Port port;
    port.name = in_.GetString(kMaxNameBytes);
    port.speed_mbit = in_.Get<uint32_t>();
    const auto flags = in_.Get<uint8_t>();
    const auto addresses = in_.Get<uint8_t>();
    if (!in_.ok()) return {};
    if (!IsName(port.name)) return Complain("has a port whose name is none");
    if (HasPort(record_, port.name)) return Complain("has port " + port.name + " twice");
    if ((flags & ~kPortFlags) != 0) return Complain("has unknown flags at port " + port.name);
    if ((flags & kInfinibandFlag) != 0 && (flags & kRdmaFlag) == 0) {
      return Complain("has a link layer at port " + port.name + ", which is not RDMA-capable");
    }
    if (addresses > kMaxPortAddresses) return Complain("has too many addresses at port " + port.name);
    port.kind = (flags & kRdmaFlag) != 0 ? PortKind::kRdma : PortKind::kTcp;
    port.last_resort = (flags & kLastResortFlag) != 0;
    port.infiniband = (flags & kInfinibandFlag) != 0;
    for (size_t i = 0; i < addresses; ++i) {
      const SocketAddress address = GetAddress(in_);
      if (!in_.ok()) return {};
      if (address.empty()) return Complain("has an address of an unknown family at port " + port.name);
      if (HasAddress(port, address)) return Complain("has an address twice at port " + port.name);
      port.addresses.push_back(address);
    }
    record_.ports.push_back(std::move(port));
    return {};
  }

  Status ReadNeighbour() {
    Neighbour neighbour;
    neighbour.port = in_.Get<uint16_t>();
    neighbour.node = in_.Get<uint64_t>();
    neighbour.far_port = in_.GetString(kMaxNameBytes);
    neighbour.latency_us = in_.Get<uint32_t>();
    const auto flags = in_.Get<uint8_t>();
    if (!in_.ok()) return {};
    if (neighbour.port >= record_.ports.size()) return Complain("has a neighbour at a port that it has not");
    if (neighbour.node == 0) return Complain("has a neighbour without node id");
    if (neighbour.node == record_.node) return Complain("has itself as neighbour");
    if (!IsName(neighbour.far_port)) return Complain("has a neighbour's port whose name is none");
    if ((flags & ~kRoutedFlag) != 0) return Complain("has unknown flags at a neighbour");
    neighbour.routed = (flags & kRoutedFlag) != 0;
    record_.neighbours.push_back(std::move(neighbour));
    return {};
  }

  ByteReader in_;
  Record record_;
};

std::string Printable(std::string text, size_t most) {
  std::erase_if(text, IsControl);
  if (text.size() > most) text.resize(most);
  return text;
}

Port PortWithinBounds(const Port& port) {
  Port out = port;
  out.addresses.clear();
  out.infiniband = port.infiniband && port.kind == PortKind::kRdma;
  for (const SocketAddress& address : port.addresses) {
    if (out.addresses.size() == kMaxPortAddresses) break;
    if (!address.empty() && !HasAddress(out, address)) out.addresses.push_back(address);
  }
  return out;
}

}  // namespace

Record WithinBounds(Record record) {
  constexpr size_t kDropped = SIZE_MAX;
  std::vector<Port> ports;
  std::vector<size_t> places;  // in `ports`, of each of the record's
  std::unordered_set<std::string> names;
  for (const Port& port : record.ports) {
    const bool fits = ports.size() < kMaxPorts && IsName(port.name) && names.insert(port.name).second;
    places.push_back(fits ? ports.size() : kDropped);
    if (fits) ports.push_back(PortWithinBounds(port));
  }
  std::vector<Neighbour> neighbours;
  for (Neighbour& neighbour : record.neighbours) {
    const size_t place = neighbour.port < places.size() ? places[neighbour.port] : kDropped;
    const bool other = neighbour.node != 0 && neighbour.node != record.node;
    if (place == kDropped || !other || !IsName(neighbour.far_port) || neighbours.size() == kMaxNeighbours) continue;
    neighbour.port = static_cast<uint16_t>(place);
    neighbours.push_back(std::move(neighbour));
  }
  record.ports = std::move(ports);
  record.neighbours = std::move(neighbours);
  record.name = Printable(std::move(record.name), kMaxHostNameBytes);
  record.build = Printable(std::move(record.build), kMaxBuildBytes);
  return record;
}

std::vector<std::byte> EncodeRecord(const Record& record) {
  ByteWriter out;
  out.Put<uint8_t>(kRecordVersion);
  out.Put<uint64_t>(record.node);
  out.Put<uint64_t>(record.edition.incarnation);
  out.Put<uint64_t>(record.edition.sequence);
  out.PutString(record.name);
  out.PutString(record.build);
  out.Put<uint16_t>(record.agent_port);
  out.Put<uint8_t>(record.draining ? kDrainingFlag : 0);
  out.Put<uint8_t>(static_cast<uint8_t>(record.ports.size()));
  for (const Port& port : record.ports) PutPort(out, port);
  out.Put<uint16_t>(static_cast<uint16_t>(record.neighbours.size()));
  for (const Neighbour& neighbour : record.neighbours) PutNeighbour(out, neighbour);
  return out.take();
}

Result<Record> DecodeRecord(std::span<const std::byte> bytes) { return RecordReader(bytes).Read(); }

std::span<const std::byte> ContentOf(std::span<const std::byte> encoded) {
  return encoded.subspan(std::min(kContentOffset, encoded.size()));
}

std::string NodeIdText(NodeId node) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(node));
  return text;
}

}  // namespace relay::fabric
