// Whatever happens below the interface, NCCL sees a code and the log a sentence.
#include "nccl/guard.h"

#include <gtest/gtest.h>

#include <new>
#include <string>

namespace relay::nccl {
namespace {

std::string g_last;

void Remember(LogLevel, const char*, int, const char* text) { g_last = text; }

class GuardTest : public testing::Test {
 protected:
  GuardTest() {
    g_last.clear();
    SetLogSink(Remember);
  }
  ~GuardTest() override { SetLogSink(nullptr); }
};

TEST_F(GuardTest, ErrorsBecomeTheCodeThatNcclActsUpon) {
  auto code_of = [](ErrorCode code) { return Guard("test", [&]() -> Status { return Fail(code, "why"); }); };
  EXPECT_EQ(code_of(ErrorCode::kInternal), ncclInternalError);
  EXPECT_EQ(code_of(ErrorCode::kSystem), ncclSystemError);
  EXPECT_EQ(code_of(ErrorCode::kRemote), ncclRemoteError);
  EXPECT_EQ(code_of(ErrorCode::kNoPath), ncclSystemError);
  EXPECT_EQ(code_of(ErrorCode::kUsage), ncclInvalidUsage);
  EXPECT_EQ(g_last, "NET/Relay test: why");
}

TEST_F(GuardTest, AnErrorThatWasToldIsNotToldAgain) {
  const ncclResult_t result = Guard("test", []() -> Status {
    Error error{ErrorCode::kRemote, 0, "why"};
    error.told = true;
    return tl::unexpected<Error>(std::move(error));
  });
  EXPECT_EQ(result, ncclRemoteError);
  EXPECT_EQ(g_last, "");
}

TEST_F(GuardTest, NoExceptionReachesTheCProgram) {
  EXPECT_EQ(Guard("test", []() -> Status { throw std::bad_alloc(); }), ncclInternalError);
  EXPECT_EQ(g_last, std::string("NET/Relay test: ") + std::bad_alloc().what());
  EXPECT_EQ(Guard("test", []() -> Status { throw 7; }), ncclInternalError);
  EXPECT_EQ(g_last, "NET/Relay test: unknown exception");
}

TEST_F(GuardTest, SuccessSaysNothing) {
  EXPECT_EQ(Guard("test", []() -> Status { return {}; }), ncclSuccess);
  EXPECT_EQ(g_last, "");
}

}  // namespace
}  // namespace relay::nccl
