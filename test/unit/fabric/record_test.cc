#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/codec.h"
#include "fake/hex.h"
#include "unit/fabric/sample_records.h"

namespace relay::fabric {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Every field off its default, nothing at random.
Record Whole() {
  Record record;
  record.node = 0x1122334455667788;
  record.edition = {7, 9};
  record.name = "spark one";
  record.build = "0.1.0";
  record.agent_port = 21517;
  record.draining = true;
  record.ports = {PortOf("eth0", "10.0.0.1", 200000), PortOf("lan", "fe80::1", 0)};
  record.ports[0].kind = PortKind::kRdma;
  record.ports[0].infiniband = true;
  record.ports[0].addresses.push_back(*SocketAddress::Parse("fe80::2"));
  record.ports[1].last_resort = true;
  record.neighbours = {{0, 2, "eth1", 12, false}, {1, 3, "lan", 0, true}};
  return record;
}

bool Same(const Record& a, const Record& b) { return EncodeRecord(a) == EncodeRecord(b); }

std::string Refusal(std::span<const std::byte> bytes) {
  const auto record = DecodeRecord(bytes);
  return record ? "none" : record.error().what;
}
std::string Refusal(const Record& record) { return Refusal(EncodeRecord(record)); }

TEST(RecordCodec, GivesBackEveryField) {
  const Record record = Whole();
  const Record again = DecodeRecord(EncodeRecord(record)).value();
  EXPECT_EQ(again.node, record.node);
  EXPECT_EQ(again.edition, record.edition);
  EXPECT_EQ(again.name, "spark one");
  EXPECT_EQ(again.build, "0.1.0");
  EXPECT_EQ(again.agent_port, 21517);
  EXPECT_TRUE(again.draining);
  ASSERT_EQ(again.ports.size(), 2u);
  EXPECT_EQ(again.ports[0].name, "eth0");
  EXPECT_EQ(again.ports[0].kind, PortKind::kRdma);
  EXPECT_TRUE(again.ports[0].infiniband);
  EXPECT_FALSE(again.ports[1].infiniband);
  EXPECT_EQ(again.ports[0].speed_mbit, 200000u);
  ASSERT_EQ(again.ports[0].addresses.size(), 2u);
  EXPECT_EQ(again.ports[0].addresses[0].HostText(), "10.0.0.1");
  EXPECT_EQ(again.ports[0].addresses[1].HostText(), "fe80::2");
  EXPECT_FALSE(again.ports[0].last_resort);
  EXPECT_TRUE(again.ports[1].last_resort);
  EXPECT_EQ(again.neighbours, record.neighbours);
}

TEST(RecordCodec, ARecordHasTheseBytes) {
  Record record;
  record.node = 0x0102030405060708;
  record.edition = {2, 3};
  record.name = "A";
  record.build = "0";
  record.agent_port = 0x0403;
  record.ports = {PortOf("p", "1.2.3.4", 5)};
  record.neighbours = {{0, 9, "q", 6, true}};
  const uint8_t golden[] = {1, 8, 7, 6, 5,   4, 3, 2,   1, 2, 0, 0, 0, 0, 0,   0, 0, 3,   0, 0, 0, 0, 0,
                            0, 0, 1, 0, 'A', 1, 0, '0', 3, 4, 0, 1, 1, 0, 'p', 5, 0, 0,   0, 0, 1, 4, 1,
                            2, 3, 4, 1, 0,   0, 0, 9,   0, 0, 0, 0, 0, 0, 0,   1, 0, 'q', 6, 0, 0, 0, 1};
  EXPECT_TRUE(std::ranges::equal(EncodeRecord(record), std::as_bytes(std::span(golden))));
}

// The byte is that of the port's flags in the record above: agents that know no link layers read and write its first
// two bits.
TEST(RecordCodec, ALinkLayerIsOneFlagMoreThatEthernetDoesNotNeed) {
  Record record;
  record.node = 1;
  record.edition = {1, 1};
  record.ports = {PortOf("p", "1.2.3.4", 5)};
  const size_t flags = 1 + 8 + 16 + 2 + 2 + 2 + 1 + 1 + (2 + 1) + 4;
  const auto flags_of = [&] { return std::to_integer<int>(EncodeRecord(record)[flags]); };
  EXPECT_EQ(flags_of(), 0);
  record.ports[0].kind = PortKind::kRdma;
  EXPECT_EQ(flags_of(), 1);
  EXPECT_FALSE(DecodeRecord(EncodeRecord(record))->ports[0].infiniband) << "as such agents say it: RoCE";
  record.ports[0].infiniband = true;
  EXPECT_EQ(flags_of(), 5);
  auto bytes = EncodeRecord(record);
  bytes[flags] = std::byte{4};
  EXPECT_THAT(Refusal(bytes), HasSubstr("a link layer at port p, which is not RDMA-capable"));
  bytes[flags] = std::byte{8};
  EXPECT_THAT(Refusal(bytes), HasSubstr("unknown flags at port p"));
}

TEST(RecordCodec, EveryCutAndEveryByteTooManyIsRefused) {
  const auto bytes = EncodeRecord(Whole());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(Refusal(std::span(bytes).first(size)), "none") << size;
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_THAT(Refusal(longer), HasSubstr("1 bytes left over"));
}

TEST(RecordCodec, RefusesWhatNoNodeSaysOfItself) {
  Record record = Whole();
  record.node = 0;
  EXPECT_THAT(Refusal(record), HasSubstr("no node id"));
  record = Whole();
  record.edition.sequence = 0;
  EXPECT_THAT(Refusal(record), HasSubstr("edition out of range"));
  record.edition.sequence = kMaxEdition + 1;
  EXPECT_THAT(Refusal(record), HasSubstr("edition out of range"));
  record.edition = {kMaxEdition + 1, 1};
  EXPECT_THAT(Refusal(record), HasSubstr("edition out of range"));
  record.edition = {kMaxEdition, kMaxEdition};
  EXPECT_EQ(Refusal(record), "none");
  record = Whole();
  record.name = "a\x1b[2J";
  EXPECT_THAT(Refusal(record), HasSubstr("control characters"));
  record = Whole();
  record.build = "0.1\n";
  EXPECT_THAT(Refusal(record), HasSubstr("control characters"));
}

TEST(RecordCodec, PortsAreBounded) {
  Record record = Whole();
  record.ports[1].name = "eth0";
  EXPECT_THAT(Refusal(record), HasSubstr("port eth0 twice"));
  for (const char* name : {"", "a/b", "a b", "eth0:1"}) {
    record = Whole();
    record.ports[0].name = name;
    EXPECT_THAT(Refusal(record), HasSubstr("whose name is none")) << name;
  }
  record = Whole();
  record.ports[0].name = std::string(kMaxNameBytes + 1, 'a');
  EXPECT_THAT(Refusal(record), HasSubstr("too long"));
  record = Whole();
  record.ports[0].addresses.push_back(*SocketAddress::Parse("10.0.0.1"));
  EXPECT_THAT(Refusal(record), HasSubstr("address twice at port eth0"));
  record = Whole();
  for (size_t i = 3; i <= kMaxPortAddresses + 1; ++i) {
    EXPECT_EQ(Refusal(record), "none") << i;
    record.ports[0].addresses.push_back(*SocketAddress::Parse("10.0.1." + std::to_string(i)));
  }
  EXPECT_THAT(Refusal(record), HasSubstr("too many addresses at port eth0"));
  record = Whole();
  for (size_t i = 3; i <= kMaxPorts + 1; ++i) {
    EXPECT_EQ(Refusal(record), "none") << i;
    record.ports.push_back(PortOf("x" + std::to_string(i), ""));
  }
  EXPECT_THAT(Refusal(record), HasSubstr("has 65 ports"));
}

TEST(RecordCodec, NeighboursAreBounded) {
  Record record = Whole();
  record.neighbours[0].port = 2;
  EXPECT_THAT(Refusal(record), HasSubstr("a port that it has not"));
  record = Whole();
  record.neighbours[0].node = record.node;
  EXPECT_THAT(Refusal(record), HasSubstr("itself as neighbour"));
  record.neighbours[0].node = 0;
  EXPECT_THAT(Refusal(record), HasSubstr("without node id"));
  record = Whole();
  record.neighbours[0].far_port = "a b";
  EXPECT_THAT(Refusal(record), HasSubstr("neighbour's port whose name is none"));
  record = Whole();
  record.neighbours.resize(kMaxNeighbours, record.neighbours[0]);
  EXPECT_EQ(Refusal(record), "none");
  record.neighbours.push_back(record.neighbours[0]);
  EXPECT_THAT(Refusal(record), HasSubstr("has 1025 neighbours"));
}

TEST(RecordCodec, NamesAreBounded) {
  Record record = Whole();
  record.name = std::string(kMaxHostNameBytes, 'n');
  record.build = std::string(kMaxBuildBytes, 'b');
  EXPECT_EQ(Refusal(record), "none");
  record.name += 'n';
  EXPECT_NE(Refusal(record), "none");
  record = Whole();
  record.build = std::string(kMaxBuildBytes + 1, 'b');
  EXPECT_NE(Refusal(record), "none");
}

TEST(RecordCodec, AnotherVersionAndUnknownBitsAreRefused) {
  auto bytes = EncodeRecord(Whole());
  bytes[0] = std::byte{2};
  EXPECT_THAT(Refusal(bytes), HasSubstr("is of version 2"));
  Record record = Whole();
  record.name = record.build = "";
  record.ports.clear();
  record.neighbours.clear();
  bytes = EncodeRecord(record);
  bytes[1 + 8 + 16 + 2 + 2 + 2] = std::byte{2};
  EXPECT_THAT(Refusal(bytes), HasSubstr("unknown flags"));
  bytes = EncodeRecord(Whole());
  bytes.back() = std::byte{3};
  EXPECT_THAT(Refusal(bytes), HasSubstr("unknown flags at a neighbour"));
  EXPECT_THAT(Refusal(std::vector<std::byte>(kMaxRecordBytes + 1, std::byte{1})), HasSubstr("is longer than"));
}

TEST(RecordCodec, TheLargestRecordFitsItsLimit) {
  Record record = Whole();
  record.name = std::string(kMaxHostNameBytes, 'n');
  record.build = std::string(kMaxBuildBytes, 'b');
  record.ports.clear();
  for (size_t i = 0; i < kMaxPorts; ++i) {
    Port port = PortOf(std::string(kMaxNameBytes - 2, 'p') + std::to_string(10 + i), "");
    for (size_t a = 0; a < kMaxPortAddresses; ++a) {
      port.addresses.push_back(*SocketAddress::Parse("fe80::" + std::to_string(a + 1)));
    }
    record.ports.push_back(port);
  }
  record.neighbours.assign(kMaxNeighbours, {63, 2, std::string(kMaxNameBytes, 'q'), 1, true});
  EXPECT_LT(EncodeRecord(record).size(), kMaxRecordBytes);
  EXPECT_EQ(Refusal(record), "none");
}

TEST(WithinBounds, LeavesOutWhatNobodyWouldBelieve) {
  Record record = Whole();
  record.name = "a\nb" + std::string(400, 'n');
  record.build = std::string(100, 'b');
  record.ports.insert(record.ports.begin(), PortOf("no name", "1.1.1.1"));
  record.ports.push_back(PortOf("eth0", "1.1.1.2"));
  record.ports[2].infiniband = true;  // of "lan", which is tcp
  record.ports[1].addresses.push_back(record.ports[1].addresses[0]);
  record.ports[1].addresses.push_back({});
  record.neighbours = {{0, 2, "x", 0, false},
                       {1, 2, "eth1", 0, false},
                       {3, 2, "y", 0, false},
                       {4, 2, "y", 0, false},
                       {1, record.node, "eth0", 0, false},
                       {2, 4, "bad name", 0, false},
                       {1, 0, "z", 0, false},
                       {2, 5, "lan", 0, true}};
  const Record kept = WithinBounds(record);
  EXPECT_EQ(Refusal(kept), "none");
  ASSERT_EQ(kept.ports.size(), 2u);
  EXPECT_EQ(kept.ports[0].name, "eth0");
  EXPECT_EQ(kept.ports[0].addresses.size(), 2u);
  EXPECT_TRUE(kept.ports[0].infiniband);
  EXPECT_FALSE(kept.ports[1].infiniband);
  EXPECT_THAT(kept.neighbours, ElementsAre(Neighbour{0, 2, "eth1", 0, false}, Neighbour{1, 5, "lan", 0, true}));
  EXPECT_EQ(kept.name.substr(0, 3), "abn");
  EXPECT_TRUE(Same(WithinBounds(Whole()), Whole())) << "what is within is left alone";
}

TEST(ContentOf, IsTheSameInAnotherEdition) {
  Record record = Whole();
  const auto before = EncodeRecord(record);
  record.edition = {100, 1};
  const auto after = EncodeRecord(record);
  EXPECT_TRUE(std::ranges::equal(ContentOf(before), ContentOf(after)));
  record.ports[0].kind = PortKind::kTcp;
  record.ports[0].infiniband = false;
  EXPECT_FALSE(std::ranges::equal(ContentOf(before), ContentOf(EncodeRecord(record)))) << "its device is gone";
  record = Whole();
  record.agent_port = 1;
  EXPECT_FALSE(std::ranges::equal(ContentOf(before), ContentOf(EncodeRecord(record))));
}

RC_GTEST_PROP(RecordProperty, DamageIsRefusedOrReadAsWhatItSays, ()) {
  auto bytes = EncodeRecord(Whole());
  const auto edits = *rc::gen::inRange(1, 4);
  for (int i = 0; i < edits; ++i) {
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = static_cast<std::byte>(*rc::gen::arbitrary<uint8_t>());
  }
  if (const auto record = DecodeRecord(bytes)) RC_ASSERT(EncodeRecord(*record) == bytes);
}

// Link-state messages.

std::string Refused(std::span<const std::byte> bytes) {
  const auto message = DecodeLinkState(bytes);
  return message ? "none" : message.error().what;
}

std::vector<LinkStateMessage> Messages() {
  return {message::Records{{Sealed(Whole(), 1500), Sealed(RecordOf(3, {4}))}}, message::Digest{0x123456789abcdef0},
          message::Summary{{{1, {2, 3}}, {5, {6, 7}}}, true}};
}

TEST(LinkStateCodec, MessagesHaveTheseBytes) {
  SealedRecord sealed{{std::byte{0xaa}, std::byte{0xbb}}, {}, 1500};
  sealed.mac.fill(std::byte{0x11});
  EXPECT_EQ(fake::Hex(EncodeLinkState(message::Records{{sealed}})),
            "01"
            "01000000"
            "02000000"
            "aabb" +
                std::string(64, '1') + "dc050000");
  EXPECT_EQ(fake::Hex(EncodeLinkState(Messages()[1])),
            "02"
            "f0debc9a78563412");
  EXPECT_EQ(fake::Hex(EncodeLinkState(Messages()[2])),
            "03"
            "01"
            "02000000"
            "0100000000000000"
            "0200000000000000"
            "0300000000000000"
            "0500000000000000"
            "0600000000000000"
            "0700000000000000");
}

TEST(LinkStateCodec, GivesBackEveryField) {
  const auto records = std::get<message::Records>(*DecodeLinkState(EncodeLinkState(Messages()[0])));
  ASSERT_EQ(records.records.size(), 2u);
  EXPECT_EQ(records.records[0].bytes, EncodeRecord(Whole()));
  EXPECT_EQ(records.records[0].mac, FakeSeal(EncodeRecord(Whole())));
  EXPECT_EQ(records.records[0].age_ms, 1500u);
  EXPECT_EQ(std::get<message::Digest>(*DecodeLinkState(EncodeLinkState(Messages()[1]))).hash, 0x123456789abcdef0u);
  const auto summary = std::get<message::Summary>(*DecodeLinkState(EncodeLinkState(Messages()[2])));
  ASSERT_EQ(summary.held.size(), 2u);
  EXPECT_EQ(summary.held[1].node, 5u);
  EXPECT_EQ(summary.held[1].edition, (Edition{6, 7}));
  EXPECT_TRUE(summary.answer);
}

TEST(LinkStateCodec, EveryCutAndEveryByteTooManyIsRefused) {
  for (const LinkStateMessage& message : Messages()) {
    auto bytes = EncodeLinkState(message);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_NE(Refused(std::span(bytes).first(size)), "none") << message.index() << " at " << size;
    }
    bytes.push_back(std::byte{0});
    EXPECT_NE(Refused(bytes), "none") << message.index();
  }
}

TEST(LinkStateCodec, MessagesAreBounded) {
  EXPECT_THAT(Refused(std::vector<std::byte>(kMaxLinkStateBytes + 1)), HasSubstr("too long"));
  EXPECT_THAT(Refused(std::vector<std::byte>(1, std::byte{9})), HasSubstr("unknown type"));
  const auto too_long = EncodeLinkState(message::Records{{{std::vector<std::byte>(kMaxRecordBytes + 1), {}, 0}}});
  EXPECT_THAT(Refused(too_long), HasSubstr("record that is too long"));
  EXPECT_EQ(Refused(EncodeLinkState(message::Records{{{std::vector<std::byte>(kMaxRecordBytes), {}, 0}}})), "none");
  EXPECT_THAT(Refused(EncodeLinkState(message::Summary{{{2, {}}, {2, {}}}, false})), HasSubstr("out of order"));
  EXPECT_THAT(Refused(EncodeLinkState(message::Summary{{{2, {}}, {1, {}}}, false})), HasSubstr("out of order"));
  auto flags = EncodeLinkState(Messages()[2]);
  flags[1] = std::byte{2};
  EXPECT_THAT(Refused(flags), HasSubstr("unknown flags"));
  ByteWriter many;
  many.Put<uint8_t>(3);
  many.Put<uint8_t>(0);
  many.Put<uint32_t>(0xffffffff);
  EXPECT_THAT(Refused(many.bytes()), HasSubstr("cut short"));
}

TEST(LinkStateCodec, ASummaryOfTheLargestFabricIsOneMessage) {
  message::Summary summary;
  for (size_t i = 1; i <= kMaxFabricNodes; ++i) summary.held.push_back({i, {1, 1}});
  EXPECT_EQ(Refused(EncodeLinkState(summary)), "none");
}

}  // namespace
}  // namespace relay::fabric
