// The fabric's key: what it proves, and which files hold one.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>

#include "agent/trust/key.h"
#include "fake/hex.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Key, ProvesBytesForOnePurpose) {
  auto key = Key::FromBytes(Bytes("one key of exactly thirty-two by"));
  const Mac mac = key->Sign("hello", Bytes("bytes"));
  EXPECT_TRUE(key->Verify("hello", Bytes("bytes"), mac));
  EXPECT_EQ(fake::Hex(mac), "cd28ac3a8db51af977231a93b35c7a5981f3b7210ceea1ea845e99d018c03af6") << "keyed BLAKE2b";
  EXPECT_FALSE(key->Verify("record", Bytes("bytes"), mac));
  EXPECT_FALSE(key->Verify("hello", Bytes("bytez"), mac));
  // What is purpose and what is not cannot be moved.
  EXPECT_FALSE(key->Verify("hellob", Bytes("ytes"), mac));
  auto other = Key::FromBytes(Bytes("one key of exactly thirty-two bz"));
  EXPECT_FALSE(other->Verify("hello", Bytes("bytes"), mac));
  for (size_t i = 0; i < mac.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      Mac bad = mac;
      bad[i] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(key->Verify("hello", Bytes("bytes"), bad));
    }
  }
}

TEST(Key, ALongerOneCountsAsAWhole) {
  const std::string text(100, 'k');
  auto key = Key::FromBytes(Bytes(text)), other = Key::FromBytes(Bytes(text.substr(0, 99)));
  EXPECT_NE(key->Sign("p", {}), other->Sign("p", {}));
  EXPECT_EQ(key->Sign("p", {}), Key::FromBytes(Bytes(text))->Sign("p", {}));
}

TEST(Key, NoncesAreNeverTheSame) {
  std::set<Nonce> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(RandomNonce()).second);
}

class KeyFile : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/nccl-relay-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/key";
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(path_.c_str());
    rmdir(folder_.c_str());
  }
  void Write(std::string_view bytes, mode_t mode = 0600) {
    unlink(path_.c_str());
    int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    ASSERT_EQ(fchmod(fd, mode), 0);
    close(fd);
  }
  std::string Refused() {
    auto key = Key::Load(path_);
    EXPECT_FALSE(key);
    return key ? "" : key.error().what;
  }
  std::string folder_, path_;
};

TEST_F(KeyFile, ThirtyTwoBytesAreEnough) {
  Write(std::string(32, '\1'));
  EXPECT_TRUE(Key::Load(path_));
  Write(std::string(31, '\1'));
  EXPECT_THAT(Refused(), AllOf(HasSubstr("31 bytes"), HasSubstr("nccl-relay keygen"), HasSubstr(path_)));
  Write("");
  EXPECT_THAT(Refused(), HasSubstr("0 bytes"));
}

TEST_F(KeyFile, MoreThan4096BytesAreRefused) {
  Write(std::string(4096, 'x'));
  EXPECT_TRUE(Key::Load(path_));
  Write(std::string(4097, 'x'));
  EXPECT_THAT(Refused(), HasSubstr("longer than 4096"));
}

TEST_F(KeyFile, TheEndOfATextsLastLineIsNotPartOfIt) {
  const std::string text(40, 'a');
  Write(text);
  auto key = *Key::Load(path_);
  for (const char* end : {"\n", "\r\n", " \n\n"}) {
    Write(text + end);
    EXPECT_TRUE(Key::Load(path_).value()->Verify("p", Bytes("x"), key->Sign("p", Bytes("x")))) << end;
  }
  // A byte of value 10 at the end of random ones is one of them.
  Write(std::string(31, '\x80') + "\n");
  EXPECT_TRUE(Key::Load(path_));
  Write(std::string(31, 'a') + "\n");
  EXPECT_THAT(Refused(), HasSubstr("31 bytes"));
}

TEST_F(KeyFile, OnlyItsOwnerWritesItAndOnlyItsGroupReadsIt) {
  for (mode_t mode : {0400, 0600, 0440, 0640}) {
    Write(std::string(32, 'k'), mode);
    EXPECT_TRUE(Key::Load(path_)) << std::oct << mode;
  }
  for (mode_t mode : {0604, 0602, 0601, 0620, 0660, 0644}) {
    Write(std::string(32, 'k'), mode);
    EXPECT_THAT(Refused(), HasSubstr("chmod 600 " + path_)) << std::oct << mode;
  }
}

TEST_F(KeyFile, WhatIsNoFileIsRefusedAtOnce) {
  EXPECT_THAT(Refused(), AllOf(HasSubstr("No such file"), HasSubstr("nccl-relay keygen " + path_)));
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  EXPECT_THAT(Refused(), HasSubstr("no file"));
  rmdir(path_.c_str());
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(Refused(), HasSubstr("no file"));
}

}  // namespace
}  // namespace relay::agent
