#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "transport/rdma/gid_choice.h"

namespace relay::transport::rdma {
namespace {

using testing::HasSubstr;

SocketAddress Host(const char* text) { return *SocketAddress::Parse(text); }

Gid GidOf(const char* host, GidType type) {
  Gid gid{.bytes = {}, .index = 0, .type = type};
  const SocketAddress address = Host(host);
  const auto bytes = address.HostBytes();
  if (bytes.size() == 4) gid.bytes[10] = gid.bytes[11] = std::byte{0xff};
  std::copy(bytes.begin(), bytes.end(), gid.bytes.begin() + static_cast<long>(gid.bytes.size() - bytes.size()));
  return gid;
}

struct Row {
  const char* host;
  int version;
};

Endpoint Ethernet(std::initializer_list<Row> rows) {
  Endpoint out{.queue_pair = 9};
  for (const Row& row : rows) {
    Gid gid = GidOf(row.host, row.version == 2 ? GidType::kRoce2 : GidType::kRoce1);
    gid.index = static_cast<uint16_t>(out.gids.size());
    out.gids.push_back(gid);
  }
  return out;
}

// What two ends choose, as "near-host/version > far-host/version"; the error's sentence where they do not.
std::string Chosen(const Endpoint& near, const Endpoint& far, const char* near_host = nullptr,
                   const char* far_host = nullptr) {
  std::optional<SocketAddress> near_address, far_address;
  if (near_host) near_address = Host(near_host);
  if (far_host) far_address = Host(far_host);
  const auto pair = ChooseGids(near, far, near_address, far_address);
  if (!pair) return pair.error().what;
  // The other side, asked the other way round, means the same two addresses.
  const auto back = ChooseGids(far, near, far_address, near_address);
  EXPECT_TRUE(back && far.gids[back->near].bytes == far.gids[pair->far].bytes &&
              near.gids[back->far].bytes == near.gids[pair->near].bytes);
  return ToText(near.gids[pair->near]) + " > " + ToText(far.gids[pair->far]);
}

// As an mlx5 port lists one IPv4 address: link-local and IPv4, each as v1 and v2.
const Endpoint kMlxNear = Ethernet({{"fe80::1", 1}, {"fe80::1", 2}, {"10.0.0.1", 1}, {"10.0.0.1", 2}});
const Endpoint kMlxFar = Ethernet({{"fe80::2", 1}, {"fe80::2", 2}, {"10.0.0.2", 1}, {"10.0.0.2", 2}});
// soft-RoCE: v2 alone, in the order in which addresses were given to the interface.
const Endpoint kRxeNear = Ethernet({{"fe80::11", 2}, {"10.0.0.11", 2}});

TEST(GidChoice, TheSocketsAddressesWinWhereBothAreRoceTwo) {
  EXPECT_EQ(Chosen(kMlxNear, kMlxFar, "10.0.0.1", "10.0.0.2"), "10.0.0.1 (RoCE v2) > 10.0.0.2 (RoCE v2)");
  EXPECT_EQ(Chosen(kMlxNear, kMlxFar, "fe80::1", "fe80::2"), "fe80::1 (RoCE v2) > fe80::2 (RoCE v2)");
}

TEST(GidChoice, TheExactPairWinsOverALongerCommonPrefix) {
  const Endpoint near = Ethernet({{"10.1.0.1", 2}, {"10.2.0.1", 2}}),
                 far = Ethernet({{"10.1.0.2", 2}, {"10.9.0.2", 2}});
  EXPECT_EQ(Chosen(near, far, "10.2.0.1", "10.9.0.2"), "10.2.0.1 (RoCE v2) > 10.9.0.2 (RoCE v2)");
  EXPECT_EQ(Chosen(near, far), "10.1.0.1 (RoCE v2) > 10.1.0.2 (RoCE v2)");
}

TEST(GidChoice, ASocketsAddressThatOneEndHasNotDecidesNothing) {
  EXPECT_EQ(Chosen(kMlxNear, kMlxFar, "10.0.0.1", "10.0.0.77"), "10.0.0.1 (RoCE v2) > 10.0.0.2 (RoCE v2)");
  EXPECT_EQ(Chosen(kMlxNear, kMlxFar, "192.168.0.1", "192.168.0.2"), "10.0.0.1 (RoCE v2) > 10.0.0.2 (RoCE v2)");
  EXPECT_EQ(Chosen(kMlxNear, kMlxFar, "10.0.0.1", "fe80::2"), "10.0.0.1 (RoCE v2) > 10.0.0.2 (RoCE v2)");
  EXPECT_EQ(Chosen(kMlxNear, kMlxFar, "10.0.0.1", nullptr), "10.0.0.1 (RoCE v2) > 10.0.0.2 (RoCE v2)");
}

TEST(GidChoice, TheSocketsAddressesAsRoceOneAloneLoseToAnyRoceTwo) {
  const Endpoint near = Ethernet({{"10.0.0.1", 1}, {"fe80::1", 2}}), far = Ethernet({{"10.0.0.2", 1}, {"fe80::2", 2}});
  EXPECT_EQ(Chosen(near, far, "10.0.0.1", "10.0.0.2"), "fe80::1 (RoCE v2) > fe80::2 (RoCE v2)");
}

TEST(GidChoice, RoceTwoComesBeforeRoceOneAndRoutableBeforeLinkLocal) {
  EXPECT_EQ(Chosen(kMlxNear, kMlxFar), "10.0.0.1 (RoCE v2) > 10.0.0.2 (RoCE v2)");
  EXPECT_EQ(Chosen(kMlxNear, kRxeNear), "10.0.0.1 (RoCE v2) > 10.0.0.11 (RoCE v2)");
  EXPECT_EQ(Chosen(Ethernet({{"10.0.0.1", 1}}), kMlxFar), "10.0.0.1 (RoCE v1) > 10.0.0.2 (RoCE v1)");
}

TEST(GidChoice, OfSeveralVlansTheOneWithTheLongestCommonPrefixIsTaken) {
  const Endpoint near = Ethernet({{"fe80::1", 2}, {"10.1.0.1", 2}, {"10.2.0.1", 2}, {"10.3.0.1", 2}});
  EXPECT_EQ(Chosen(near, Ethernet({{"10.2.0.9", 2}, {"10.77.0.9", 2}})), "10.2.0.1 (RoCE v2) > 10.2.0.9 (RoCE v2)");
  EXPECT_EQ(Chosen(near, Ethernet({{"10.77.0.9", 2}, {"10.3.0.200", 2}})), "10.3.0.1 (RoCE v2) > 10.3.0.200 (RoCE v2)");
}

TEST(GidChoice, PrefixesOfBothFamiliesAreComparedAsPartsOfTheirAddress) {
  const Endpoint near = Ethernet({{"2001:db8:0:1::1", 2}, {"10.0.0.1", 2}});
  // 96 of 128 bits against 8 of 32.
  EXPECT_EQ(Chosen(near, Ethernet({{"10.200.0.1", 2}, {"2001:db8:0:1::2", 2}})),
            "2001:db8:0:1::1 (RoCE v2) > 2001:db8:0:1::2 (RoCE v2)");
  // 48 of 128 bits against 30 of 32.
  EXPECT_EQ(Chosen(near, Ethernet({{"2001:db8:0:f001::2", 2}, {"10.0.0.2", 2}})),
            "10.0.0.1 (RoCE v2) > 10.0.0.2 (RoCE v2)");
}

TEST(GidChoice, TooLittleInCommonIsNothingInCommon) {
  EXPECT_THAT(Chosen(Ethernet({{"10.0.0.1", 2}}), Ethernet({{"11.0.0.1", 2}})),
              HasSubstr("no RoCE addresses of one subnet"));
  EXPECT_EQ(Chosen(Ethernet({{"10.0.0.1", 2}}), Ethernet({{"10.255.0.1", 2}})),
            "10.0.0.1 (RoCE v2) > 10.255.0.1 (RoCE v2)");
  EXPECT_THAT(Chosen(Ethernet({{"2001:db8:1::1", 2}}), Ethernet({{"2001:db8:2::1", 2}})),
              HasSubstr("no RoCE addresses"));
  EXPECT_EQ(Chosen(Ethernet({{"2001:db8:1::1", 2}}), Ethernet({{"2001:db8:1:9::1", 2}})),
            "2001:db8:1::1 (RoCE v2) > 2001:db8:1:9::1 (RoCE v2)");
}

TEST(GidChoice, LinkLocalSpeaksToLinkLocalOnly) {
  EXPECT_EQ(Chosen(Ethernet({{"fe80::1", 2}}), kMlxFar), "fe80::1 (RoCE v2) > fe80::2 (RoCE v2)");
  EXPECT_THAT(Chosen(Ethernet({{"fe80::1", 2}}), Ethernet({{"fec0::2", 2}, {"10.0.0.2", 2}})),
              HasSubstr("fe80::1 (RoCE v2)"));
}

TEST(GidChoice, VersionsAreNeverMixed) {
  EXPECT_THAT(Chosen(Ethernet({{"10.0.0.1", 1}}), Ethernet({{"10.0.0.2", 2}})), HasSubstr("no RoCE addresses"));
}

TEST(GidChoice, TheSameAddressOnTwoHostsIsNoWayBetweenThem) {
  const Endpoint near = Ethernet({{"172.17.0.1", 2}, {"10.0.0.1", 2}}),
                 far = Ethernet({{"172.17.0.1", 2}, {"10.0.9.2", 2}});
  EXPECT_EQ(Chosen(near, far), "10.0.0.1 (RoCE v2) > 10.0.9.2 (RoCE v2)");
}

TEST(GidChoice, APortReachesItself) {
  EXPECT_EQ(Chosen(kMlxNear, kMlxNear), "10.0.0.1 (RoCE v2) > 10.0.0.1 (RoCE v2)");
  // The offer of another process of the host does not say where its addresses stand in the port's table.
  Endpoint offered = kMlxNear;
  for (Gid& gid : offered.gids) gid.index = 0;
  EXPECT_EQ(Chosen(kMlxNear, offered), "10.0.0.1 (RoCE v2) > 10.0.0.1 (RoCE v2)");
}

TEST(GidChoice, TheErrorListsWhatEachEndHas) {
  const std::string text = Chosen(Ethernet({{"10.0.0.1", 2}, {"fe80::1", 1}}), Ethernet({{"192.168.0.2", 2}}));
  EXPECT_THAT(text,
              HasSubstr("here 10.0.0.1 (RoCE v2), fe80::1 (RoCE v1); at the far end 192.168.0.2 (RoCE v2): give both"));
  EXPECT_THAT(Chosen(Ethernet({}), Ethernet({})), HasSubstr("here none; at the far end none"));
  Endpoint many = Ethernet({});
  for (int i = 0; i < 20; ++i) many.gids.push_back(GidOf("10.0.0.1", GidType::kRoce2));
  EXPECT_THAT(Chosen(many, Ethernet({})), HasSubstr(" and 12 more; "));
}

TEST(GidChoice, InfinibandTakesTheFirstOfEachAndEthernetNone) {
  Endpoint infiniband{.queue_pair = 3, .infiniband = true, .lid = 4};
  const auto pair = ChooseGids(infiniband, infiniband, {}, {});
  ASSERT_TRUE(pair);
  EXPECT_EQ(*pair, GidPair{});
  const auto mixed = ChooseGids(infiniband, kMlxFar, {}, {});
  ASSERT_FALSE(mixed);
  EXPECT_THAT(mixed.error().what, HasSubstr("InfiniBand and the far end Ethernet"));
}

TEST(GidChoice, SubnetsDifferByTheFirstHalf) {
  EXPECT_FALSE(CrossesSubnets(GidOf("fe80::1", GidType::kInfiniband), GidOf("fe80::2", GidType::kInfiniband)));
  EXPECT_TRUE(CrossesSubnets(GidOf("fe80::1", GidType::kInfiniband), GidOf("fec0::1", GidType::kInfiniband)));
}

// Over all tables: the pair is one of the lists, of one version and one family, and no such pair of a better version
// was passed over.
TEST(GidChoice, EveryChoiceIsPossibleAndNoneIsMissed) {
  const std::vector<const char*> near_hosts = {"fe80::1", "10.0.0.1", "192.168.1.1", "2001:db8::1"};
  const std::vector<const char*> far_hosts = {"fe80::2", "10.0.0.2", "192.168.1.2", "2001:db8::2"};
  for (unsigned mask = 0; mask < 1u << 16; mask += 1) {
    Endpoint near{.queue_pair = 5}, far{.queue_pair = 6};
    int best = 0;
    for (unsigned i = 0; i < 8; ++i) {
      const auto type = i % 2 ? GidType::kRoce2 : GidType::kRoce1;
      const bool here = mask >> i & 1, there = mask >> (8 + i) & 1;
      if (here) near.gids.push_back(GidOf(near_hosts[i / 2], type));
      if (there) far.gids.push_back(GidOf(far_hosts[i / 2], type));
      if (here && there) best = std::max(best, i % 2 ? 2 : 1);
    }
    const auto pair = ChooseGids(near, far, {}, {});
    ASSERT_EQ(pair.has_value(), best > 0) << mask;
    if (!pair) continue;
    const Gid &a = near.gids.at(pair->near), &b = far.gids.at(pair->far);
    ASSERT_EQ(a.type, b.type) << mask;
    ASSERT_EQ(a.type, best == 2 ? GidType::kRoce2 : GidType::kRoce1) << mask;
    ASSERT_TRUE(std::equal(a.bytes.begin(), a.bytes.begin() + 15, b.bytes.begin())) << mask;
  }
}

}  // namespace
}  // namespace relay::transport::rdma
