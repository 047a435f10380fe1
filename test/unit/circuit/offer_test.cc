#include "circuit/offer.h"

#include <gtest/gtest.h>

#include "fake/hex.h"

namespace relay::circuit {
namespace {

TEST(Offer, OfTheReceivingSideHasTheseBytes) {
  const auto bytes = EncodeOffer({.eager_bytes = 0x01020304, .rdma = {std::byte{0xaa}, std::byte{0xbb}}});
  EXPECT_EQ(fake::Hex(bytes),
            "04030201"
            "0200aabb");
  const auto offer = DecodeOffer(bytes);
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->eager_bytes, 0x01020304u);
  EXPECT_EQ(EncodeOffer(*offer), bytes);
}

TEST(Offer, NothingShorterIsOneAndNothingMayFollow) {
  auto bytes = EncodeOffer({.eager_bytes = 1, .rdma = {std::byte{2}}});
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(DecodeOffer(std::span(bytes).first(n))) << n;
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(DecodeOffer(bytes));
}

}  // namespace
}  // namespace relay::circuit
