#include "agent/discovery/peer_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace relay::agent::peer_list {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> PeerTexts(const PeerList& list) {
  std::vector<std::string> out;
  for (const PeerName& peer : list.peers) {
    out.push_back(peer.host.empty() ? peer.address.ToText() : peer.host + " " + std::to_string(peer.port));
  }
  return out;
}

TEST(PeerList, TakesNamesAndAddressesWithAndWithoutPorts) {
  const PeerList list = ParsePeers("a.example, 10.0.0.1:9,b-2:7 ,2001:db8::1,[2001:db8::2]:8,,[::1]", 5);
  EXPECT_THAT(PeerTexts(list),
              ElementsAre("a.example 5", "10.0.0.1:9", "b-2 7", "[2001:db8::1]:5", "[2001:db8::2]:8", "[::1]:5"));
  EXPECT_THAT(list.mistakes, IsEmpty());
  EXPECT_THAT(ParsePeers("", 5).peers, IsEmpty());
}

TEST(PeerList, SaysWhatIsNoPeer) {
  for (const char* text : {"a:0", "a:65536", "a:x", "a:", "[::1", "[::1]x", "[::1]:", "a b", "a/b", "[a_b$]"}) {
    const PeerList list = ParsePeers(text, 5);
    EXPECT_THAT(list.peers, IsEmpty()) << text;
    EXPECT_THAT(list.mistakes, ElementsAre(HasSubstr(text))) << text;
  }
  std::string many;
  for (int i = 0; i < 300; ++i) many += "h" + std::to_string(i) + ",";
  EXPECT_THAT(ParsePeers(many, 5).peers, SizeIs(kMostListedPeers));
  EXPECT_THAT(ParsePeers(many, 5).mistakes, SizeIs(300 - kMostListedPeers));
}

}  // namespace
}  // namespace relay::agent::peer_list
