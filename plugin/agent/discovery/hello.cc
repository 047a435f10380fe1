// A hello as bytes, little-endian:
//
//   0        4         6       7     8      16            24         32
//   +--------+---------+-------+-----+------+-------------+----------+------------+---------+--------+------+------+
//   | "nRLo" | version | flags | ttl | node | incarnation | sequence | agent port | longest | rounds | name | port |
//   ...
//   +--------+---------+-------+-----+------+-------------+----------+------------+---------+--------+------+------+
//       +-------+---------+-----+
//   ... | heard | padding | MAC |
//       +-------+---------+-----+
//
// Names are 16-bit length and bytes; heard is a 16-bit count of {node, port}; padding is 16-bit length and so many
// zeros. The MAC covers all before it.
#include <algorithm>

#include "agent/discovery/hello.h"
#include "base/codec.h"

namespace relay::agent {
namespace {

constexpr char kHelloMagic[4] = {'n', 'R', 'L', 'o'};
constexpr uint16_t kHelloVersion = 2;
constexpr uint8_t kFlagAnswerWanted = 1, kFlagLeaving = 2, kFlagPadded = 4;

tl::unexpected<Error> NoHello(const char* why) {
  return Fail(ErrorCode::kRemote, std::string("a datagram that is no hello: ") + why);
}

// Names go into logs and into source routes.
bool IsPlainName(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7f;
  });
}

bool IsPortName(const std::string& text) { return !text.empty() && IsPlainName(text); }

bool NamesArePlain(const Hello& hello) {
  return IsPlainName(hello.name) && IsPortName(hello.port) &&
         std::all_of(hello.heard.begin(), hello.heard.end(),
                     [](const PortName& heard) { return heard.node != 0 && IsPortName(heard.port); });
}

void ReadFlags(uint8_t flags, Hello& hello) {
  hello.answer_wanted = (flags & kFlagAnswerWanted) != 0;
  hello.leaving = (flags & kFlagLeaving) != 0;
  hello.padded = (flags & kFlagPadded) != 0;
}

void ReadNames(ByteReader& in, Hello& hello) {
  hello.name = in.GetString(kMaxNameBytes);
  hello.port = in.GetString(kMaxNameBytes);
  auto count = in.Get<uint16_t>();
  for (size_t i = 0; i < count && in.ok(); ++i) {
    auto node = in.Get<uint64_t>();
    hello.heard.push_back({node, in.GetString(kMaxNameBytes)});
  }
}

}  // namespace

std::vector<std::byte> EncodeHello(const Hello& hello, const fabric::Mac& mac) {
  ByteWriter out;
  out.PutBytes(std::as_bytes(std::span(kHelloMagic)));
  out.Put(kHelloVersion);
  out.Put(static_cast<uint8_t>((hello.answer_wanted ? kFlagAnswerWanted : 0) | (hello.leaving ? kFlagLeaving : 0) |
                               (hello.padded ? kFlagPadded : 0)));
  out.Put(hello.ttl);
  out.Put(hello.node);
  out.Put(hello.incarnation);
  out.Put(hello.sequence);
  out.Put(hello.agent_port);
  out.Put(hello.longest);
  out.Put(hello.rounds);
  out.PutString(std::string_view(hello.name).substr(0, kMaxNameBytes));
  out.PutString(std::string_view(hello.port).substr(0, kMaxNameBytes));
  const size_t count = std::min(hello.heard.size(), kMaxHeard);
  out.Put(static_cast<uint16_t>(count));
  for (const PortName& heard : std::span(hello.heard).first(count)) {
    out.Put(heard.node);
    out.PutString(std::string_view(heard.port).substr(0, kMaxNameBytes));
  }
  const size_t whole = out.bytes().size() + sizeof(uint16_t) + mac.size();
  out.PutString(std::string(std::max(std::min(hello.bytes, kMaxHelloBytes), whole) - whole, '\0'));
  out.PutBytes(mac);
  return out.take();
}

std::vector<std::byte> SealHello(const Hello& hello, const SealHook& seal) {
  std::vector<std::byte> bytes = EncodeHello(hello, {});
  const size_t sealed_bytes = bytes.size() - sizeof(fabric::Mac);
  const fabric::Mac mac = seal(std::span(bytes).first(sealed_bytes));
  std::copy(mac.begin(), mac.end(), bytes.begin() + static_cast<ptrdiff_t>(sealed_bytes));
  return bytes;
}

Result<SealedHello> DecodeHello(std::span<const std::byte> bytes) {
  SealedHello out;
  if (bytes.size() < out.mac.size()) return NoHello("too short");
  out.sealed_bytes = bytes.size() - out.mac.size();
  const auto mac = bytes.subspan(out.sealed_bytes);
  std::copy(mac.begin(), mac.end(), out.mac.begin());

  ByteReader in(bytes.first(out.sealed_bytes));
  const auto magic = in.GetBytes(sizeof kHelloMagic);
  if (magic.size() != sizeof kHelloMagic || std::memcmp(magic.data(), kHelloMagic, sizeof kHelloMagic) != 0) {
    return NoHello("wrong magic");
  }
  if (auto version = in.Get<uint16_t>(); version != kHelloVersion) {
    return Fail(ErrorCode::kUsage, "a hello of version " + std::to_string(version) + ", this agent speaks version " +
                                       std::to_string(kHelloVersion) + ": install one version on every node");
  }
  const auto flags = in.Get<uint8_t>();
  ReadFlags(flags, out.hello);
  out.hello.ttl = in.Get<uint8_t>();
  out.hello.node = in.Get<uint64_t>();
  out.hello.incarnation = in.Get<uint64_t>();
  out.hello.sequence = in.Get<uint64_t>();
  out.hello.agent_port = in.Get<uint16_t>();
  out.hello.longest = in.Get<uint32_t>();
  out.hello.rounds = in.Get<uint32_t>();
  ReadNames(in, out.hello);
  const std::string padding = in.GetString(kMaxHelloBytes);
  out.hello.bytes = bytes.size();
  if (!in.AtEnd()) return NoHello("too short, too long, or a name in it is");
  if ((flags & ~(kFlagAnswerWanted | kFlagLeaving | kFlagPadded)) != 0) return NoHello("unknown flags");
  if (out.hello.heard.size() > kMaxHeard) return NoHello("it names too many others");
  if (padding.find_first_not_of('\0') != std::string::npos) return NoHello("its padding says something");
  if (out.hello.node == 0 || out.hello.agent_port == 0) return NoHello("no node or no port number");
  if (!NamesArePlain(out.hello)) return NoHello("a name in it is none");
  return out;
}

}  // namespace relay::agent
