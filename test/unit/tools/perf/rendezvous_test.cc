#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <thread>

#include "fake/hex.h"
#include "perf/rendezvous.h"

namespace relay::perf {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kPatience{20};

// A port that is free now.
std::string FreePort() {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return std::to_string(ntohs(address.sin_port));
}

class RendezvousTest : public ::testing::Test {
 protected:
  World Rank(int rank, int ranks) const { return {rank, ranks, 0, "127.0.0.1", port_}; }
  // Runs `body` as every rank at once and returns what each says.
  template <class Body>
  auto AsRanks(int ranks, Body body, milliseconds limit = milliseconds(5000)) {
    using Out = decltype(body(std::declval<Rendezvous&>(), 0));
    std::vector<std::future<Out>> futures;
    for (int rank = 0; rank < ranks; ++rank) {
      futures.push_back(std::async(std::launch::async, [=, this]() -> Out {
        auto rendezvous = Rendezvous::Join(Rank(rank, ranks), limit);
        if (!rendezvous) return tl::unexpected(rendezvous.error());
        return body(**rendezvous, rank);
      }));
    }
    std::vector<Out> out;
    for (auto& future : futures) out.push_back(future.get());
    return out;
  }
  // Calls until rank 0 listens, from an address that rank 0 has not: a socket must not meet itself on a free port.
  int ConnectRaw() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(port_)));
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      if (std::chrono::steady_clock::now() > end) std::abort();
      std::this_thread::yield();
    }
    return fd;
  }

  const std::string port_ = FreePort();
};

TEST_F(RendezvousTest, EverybodyGetsEverybodysByRank) {
  const auto all = AsRanks(4, [](Rendezvous& r, int rank) {
    const std::string own(static_cast<size_t>(rank) * 100000, static_cast<char>('a' + rank));
    (void)r.Barrier();
    return r.Exchange(std::as_bytes(std::span(own)));
  });
  for (const auto& one : all) {
    ASSERT_TRUE(one) << one.error().what;
    for (size_t rank = 0; rank < 4; ++rank) {
      EXPECT_EQ((*one)[rank].size(), rank * 100000);
      if (rank > 0) {
        EXPECT_EQ(static_cast<char>((*one)[rank].back()), static_cast<char>('a' + rank));
      }
    }
  }
}

TEST_F(RendezvousTest, WhyOneGivesUpReachesAll) {
  const auto said = AsRanks(3, [](Rendezvous& r, int rank) -> Status {
    if (rank == 2) {
      r.GiveUp("rank 2: its cable burns");
      return {};
    }
    return r.Barrier();
  });
  for (size_t rank : {0, 1}) EXPECT_EQ(said[rank].error().what, "rank 2: its cable burns");
}

TEST_F(RendezvousTest, WatchHearsItWhileThisRankIsAtWork) {
  const auto said = AsRanks(3, [](Rendezvous& r, int rank) -> Status {
    if (rank == 1) {
      r.GiveUp("rank 1: no");
      return {};
    }
    for (const auto end = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < end;) {
      if (Status status = r.Watch(); !status) return status;
      std::this_thread::yield();
    }
    return {};
  });
  for (size_t rank : {0, 2}) {
    ASSERT_FALSE(said[rank]);
    EXPECT_EQ(said[rank].error().what, "rank 1: no");
  }
}

// It is what those that wait read while this rank works; signs_test.cc says that it comes often enough.
TEST_F(RendezvousTest, ASignOfLifeIsNoAnswer) {
  std::latch signed_on{1};
  const auto said = AsRanks(3, [&](Rendezvous& r, int rank) -> Result<std::vector<int>> {
    if (rank == 1) {
      const Status status = r.Watch();
      signed_on.count_down();
      if (!status) return tl::unexpected(status.error());
    } else {
      signed_on.wait();
    }
    return r.Gather(rank);
  });
  for (const auto& all : said) {
    ASSERT_TRUE(all) << all.error().what;
    EXPECT_EQ(*all, (std::vector<int>{0, 1, 2}));
  }
}

TEST_F(RendezvousTest, WhoeverIsSilentIsNotWaitedFor) {
  std::latch over{2};
  const auto said = AsRanks(
      3,
      [&](Rendezvous& r, int rank) -> Status {
        if (Status all_there = r.Barrier(); !all_there) return all_there;
        if (rank == 1) over.wait();
        Status status = r.Barrier();
        if (!status) r.GiveUp(status.error().what);
        if (rank != 1) over.count_down();
        return status;
      },
      milliseconds(1000));
  for (const Status& status : said) {
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().what, HasSubstr("rank 1 has said nothing for 1000 ms"));
  }
}

TEST_F(RendezvousTest, ARankThatLeavesIsNamed) {
  const auto said = AsRanks(3, [](Rendezvous& r, int rank) -> Status { return rank == 2 ? Status{} : r.Barrier(); });
  EXPECT_EQ(said[0].error().what, "rank 2 has gone away");
  EXPECT_EQ(said[1].error().what, "rank 2 has gone away");
}

TEST_F(RendezvousTest, ARankThatNeverComesEndsTheWait) {
  const auto none = Rendezvous::Join(Rank(0, 2), milliseconds(100));
  EXPECT_THAT(none.error().what, HasSubstr("1 of 2 ranks have not come"));
  EXPECT_THAT(Rendezvous::Join(Rank(1, 2), milliseconds(100)).error().what, HasSubstr("cannot be reached"));
}

TEST_F(RendezvousTest, StrangersAreSentAway) {
  auto join = std::async(std::launch::async, [this] { return Rendezvous::Join(Rank(0, 2), milliseconds(5000)); });
  const Fd stranger(ConnectRaw());
  ASSERT_EQ(::send(stranger.get(), "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
  auto other = Rendezvous::Join(Rank(1, 2), milliseconds(5000));
  ASSERT_TRUE(other) << other.error().what;
  EXPECT_TRUE(join.get());
  char byte;
  EXPECT_LE(::recv(stranger.get(), &byte, 1, 0), 0);
}

TEST_F(RendezvousTest, TwoLaunchersOnOnePortAreNoticed) {
  auto join = std::async(std::launch::async, [this] { return Rendezvous::Join(Rank(0, 3), milliseconds(5000)); });
  auto other = Rendezvous::Join(Rank(1, 2), milliseconds(5000));
  EXPECT_THAT(join.get().error().what, HasSubstr("RANK 1 of WORLD_SIZE 2 came to rank 0, which has WORLD_SIZE 3"));
}

TEST_F(RendezvousTest, ItsFramesHaveTheseBytes) {
  auto join = std::async(std::launch::async, [this]() -> Result<std::vector<Rendezvous::Bytes>> {
    auto rendezvous = Rendezvous::Join(Rank(0, 2), milliseconds(5000));
    RELAY_TRY(rendezvous);
    return (*rendezvous)->Exchange(std::as_bytes(std::span("xy", 2)));
  });
  const Fd other(ConnectRaw());
  // "perf", rank 1 of 2; bytes, three of them.
  const char said[] =
      "perf"
      "\x01\0\0\0"
      "\x02\0\0\0"
      "\x01\0\0\0"
      "\x03\0\0\0"
      "abc";
  ASSERT_EQ(::send(other.get(), said, sizeof said - 1, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof said - 1));
  const auto all = join.get();
  ASSERT_TRUE(all) << all.error().what;
  EXPECT_EQ(fake::Hex((*all)[1]), "616263");
  const auto heard = [&](size_t size) {
    std::vector<std::byte> bytes(size);
    EXPECT_EQ(::recv(other.get(), bytes.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return fake::Hex(bytes);
  };
  std::string header = heard(8);
  while (header == "0300000000000000") header = heard(8);  // a sign of life
  EXPECT_EQ(header, "010000000d000000");
  EXPECT_EQ(heard(13),
            "020000007879"
            "03000000616263");
}

TEST_F(RendezvousTest, NobodyMakesUsReadWithoutEnd) {
  auto join = std::async(std::launch::async, [this]() -> Status {
    auto rendezvous = Rendezvous::Join(Rank(0, 2), milliseconds(5000));
    return rendezvous ? (*rendezvous)->Barrier() : tl::unexpected(rendezvous.error());
  });
  const Fd hostile(ConnectRaw());
  const uint32_t words[] = {0x66726570, 1, 2, 1, 0xffffffff};
  ASSERT_EQ(::send(hostile.get(), words, sizeof words, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof words));
  EXPECT_THAT(join.get().error().what, HasSubstr("not of this protocol"));
}

}  // namespace
}  // namespace relay::perf
