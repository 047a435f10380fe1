#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "perf/library.h"
#include "perf/options.h"
#include "perf/table.h"
#include "perf/trial.h"

namespace relay::perf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<Options> Parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "perf");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return ParseOptions(static_cast<int>(arguments.size()), argv.data());
}

TEST(PerfOptions, TakesWhatNcclTestsTakes) {
  const Options o = Parse({"all_reduce", "-b", "8", "-e", "128M", "-f4", "-n", "5", "-w", "0", "-c", "2"}).value();
  EXPECT_EQ(o.pattern, "all_reduce");
  EXPECT_EQ(o.min_bytes, 8U);
  EXPECT_EQ(o.max_bytes, 128U << 20);
  EXPECT_EQ(o.factor, 4U);
  EXPECT_EQ(o.iterations, 5);
  EXPECT_EQ(o.warmups, 0);
  EXPECT_EQ(o.checks, 2);
  EXPECT_EQ(Parse({"reduce", "--abi", "v7"})->abi, 7);
  EXPECT_EQ(Parse({"reduce", "--abi", "12"})->abi, 12);
  EXPECT_TRUE(Parse({"reduce", "--one-thread", "--channels", "1"})->one_thread);
  EXPECT_TRUE(Parse({"--help"})->help);
}

TEST(PerfOptions, DurationsAreTaken) {
  const Options o = Parse({"sendrecv", "--seconds", "5", "--fresh", "--hold", "0.5", "--hold-close", "2", "--late",
                           "60", "--patience", "4", "--gap", "--phases"})
                        .value();
  EXPECT_EQ(o.seconds, 5);
  EXPECT_TRUE(o.fresh && o.gap && o.phases);
  EXPECT_EQ(o.hold, 0.5);
  EXPECT_EQ(o.hold_close, 2);
  EXPECT_EQ(o.late, 60);
  EXPECT_EQ(o.patience, 4);
}

TEST(PerfOptions, WrongOnesAreNamed) {
  const std::map<std::string, std::vector<std::string>> cases = {
      {"0 is no size", {"reduce", "-b", "0"}},
      {"want a whole number", {"reduce", "-n", "x"}},
      {"no option --nope", {"reduce", "--nope"}},
      {"-n wants a value", {"reduce", "-n"}},
      {"want one pattern", {}},
      {"one pattern", {"reduce", "broadcast"}},
      {"is larger than", {"reduce", "-b", "2M", "-e", "1M"}},
      {"--proto fast: want one of auto", {"reduce", "--proto", "fast"}},
      {"no such --algo", {"reduce", "--algo", "pat"}},
      {"6 to 12", {"reduce", "--abi", "v13"}},
      {"--one-thread wants --channels 1", {"reduce", "--one-thread"}},
      {"--fresh wants --seconds", {"reduce", "--fresh"}},
      {"teardown goes by -n", {"teardown", "--seconds", "1"}},
      {"--hold -1: want seconds", {"reduce", "--hold", "-1"}},
      {"--late nan: want seconds", {"reduce", "--late", "nan"}},
      {"--seconds 0.5: want a whole number", {"reduce", "--seconds", "0.5"}},
  };
  for (const auto& [sentence, arguments] : cases) {
    const auto parsed = Parse(arguments);
    ASSERT_FALSE(parsed) << sentence;
    EXPECT_EQ(parsed.error().code, ErrorCode::kUsage);
    EXPECT_THAT(parsed.error().what, HasSubstr(sentence));
  }
}

TEST(PerfOptions, SizesHaveUnitsAndAnEnd) {
  EXPECT_EQ(ParseSize("64K").value(), 65536U);
  EXPECT_EQ(ParseSize("1G").value(), 1U << 30);
  for (const char* wrong : {"", "K", "0", "-1", "1T", "1.5M", "65G", "18446744073709551615G", "8 "}) {
    EXPECT_FALSE(ParseSize(wrong)) << wrong;
  }
}

TEST(PerfOptions, TheLauncherIsBelievedWithinBounds) {
  auto world = [](std::map<std::string, const char*> environment) {
    return ReadWorld([&](const char* name) { return environment[name]; });
  };
  EXPECT_EQ(world({})->ranks, 1);
  const World w = world({{"RANK", "2"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "::1"}, {"MASTER_PORT", "1"}}).value();
  EXPECT_EQ(w.rank, 2);
  EXPECT_FALSE(world({{"RANK", "3"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "::1"}, {"MASTER_PORT", "1"}}));
  EXPECT_THAT(world({{"RANK", "0"}, {"WORLD_SIZE", "2"}}).error().what, HasSubstr("MASTER_ADDR and MASTER_PORT"));
}

TEST(PerfOptions, RanksMayDifferInTheTableTheyUse) {
  EXPECT_EQ(Fingerprint(*Parse({"reduce", "--abi", "v6", "--json"})), Fingerprint(*Parse({"reduce"})));
  EXPECT_NE(Fingerprint(*Parse({"reduce", "-n", "3"})), Fingerprint(*Parse({"reduce"})));
  EXPECT_NE(Fingerprint(*Parse({"reduce", "--seconds", "3"})), Fingerprint(*Parse({"reduce"})));
  EXPECT_EQ(Fingerprint(*Parse({"reduce", "--late", "3", "--hold-close", "1"})), Fingerprint(*Parse({"reduce"})));
}

TEST(PerfLibrary, IsLookedForAsNcclDoes) {
  EXPECT_THAT(PluginFiles(nullptr, "/opt"), ElementsAre("/opt/libnccl-net-relay.so"));
  EXPECT_THAT(PluginFiles("", "/opt"), ElementsAre("/opt/libnccl-net-relay.so"));
  EXPECT_THAT(PluginFiles("relay", "/opt"), ElementsAre("relay", "libnccl-net-relay.so"));
  EXPECT_THAT(PluginFiles("libnccl-net-relay.so", "/opt"), ElementsAre("libnccl-net-relay.so"));
  EXPECT_THAT(PluginFiles("/a/b.so", "/opt"), ElementsAre("/a/b.so"));
  EXPECT_THAT(PluginFiles("x,,./y", "/opt"), ElementsAre("x", "libnccl-net-x.so", "./y"));
  EXPECT_THAT(PluginFiles("NONE", "/opt"), IsEmpty());
}

TEST(PerfLibrary, SaysWhyNoneOpens) {
  const auto library = Library::Open({"/nowhere/a.so", "/nowhere/b.so"});
  ASSERT_FALSE(library);
  EXPECT_THAT(library.error().what, HasSubstr("/nowhere/a.so"));
  EXPECT_THAT(library.error().what, HasSubstr("/nowhere/b.so"));
}

TEST(PerfTable, BandwidthsAreThoseOfNcclTests) {
  Row row{.bytes = 3000000, .count = 750000, .microseconds = 1000};
  row.bus_factor = FindCollective("all_reduce")->bus_factor(3);
  EXPECT_DOUBLE_EQ(row.algorithm_bandwidth(), 3.0);
  EXPECT_DOUBLE_EQ(row.bus_bandwidth(), 4.0);
  EXPECT_DOUBLE_EQ(FindCollective("alltoall")->bus_factor(4), 0.75);
  EXPECT_DOUBLE_EQ(FindCollective("broadcast")->bus_factor(4), 1);
  EXPECT_EQ(Row{}.algorithm_bandwidth(), 0);
}

TEST(PerfTable, CountsRowsWithWrongResults) {
  const Options options = Parse({"all_reduce"}).value();
  Table table({options, 3, 12, "/lib/x.so", "relay0", 100000});
  EXPECT_THAT(table.Begin(), HasSubstr("ncclNetPlugin_v12 of /lib/x.so"));
  EXPECT_THAT(table.Add({.bytes = 8, .count = 2, .microseconds = 10, .wrong = 0}), HasSubstr("float"));
  EXPECT_TRUE(table.right());
  table.Add({.bytes = 8, .count = 2, .microseconds = 10, .wrong = 2});
  EXPECT_FALSE(table.right());
  EXPECT_THAT(table.End(), HasSubstr("# Out of bounds values : 1 FAILED"));
  EXPECT_THAT(table.Add({.bytes = 8, .microseconds = 10}), HasSubstr("N/A"));
}

TEST(PerfTable, ShowsTheLongestGapIfItWasAskedFor) {
  for (const bool json : {false, true}) {
    Options options = Parse({"all_reduce"}).value();
    options.json = json;
    for (const bool gap : {false, true}) {
      options.gap = gap;
      Table table({options, 3, 12, "/lib/x.so", "relay0", 100000});
      table.Add({.bytes = 8, .count = 2, .microseconds = 10, .wrong = 0, .gap = 0.5});
      table.Add({.bytes = 16, .count = 4, .microseconds = 10, .wrong = 0, .gap = 0.25});
      EXPECT_EQ(table.End().find("0.500000") != std::string::npos, gap);
    }
  }
}

TEST(PerfTable, JsonIsQuoted) {
  EXPECT_EQ(Quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
  const Options options = Parse({"all_reduce", "--json"}).value();
  Table table({options, 3, 6, "/lib/\"x", "relay0", 1});
  std::string text = table.Begin();
  text += table.Add({.bytes = 8, .count = 2, .microseconds = 10, .wrong = 0});
  text += table.Add({.bytes = 16, .count = 4, .microseconds = 10});
  EXPECT_THAT(text + table.End(),
              ::testing::AllOf(HasSubstr("\"plugin\":\"/lib/\\\"x\""), HasSubstr("\"wrong\":0},{\"size\":16"),
                               HasSubstr("\"wrong\":null}],\"out_of_bounds\":0")));
}

TEST(PerfTrial, SmallMessagesAreLl) {
  auto protocol = [](std::vector<std::string> arguments, uint64_t bytes) {
    auto trial = Trial::Make(Parse(std::move(arguments)).value(), {.rank = 0, .ranks = 3}, 12).value();
    EXPECT_TRUE(trial.SetSize(bytes));
    return trial.protocol();
  };
  EXPECT_EQ(protocol({"all_reduce"}, 8), Protocol::kLl);
  EXPECT_EQ(protocol({"all_reduce"}, 1 << 20), Protocol::kSimple);
  EXPECT_EQ(protocol({"alltoall"}, 8), Protocol::kSimple);
  EXPECT_EQ(protocol({"all_gather", "--algo", "pat"}, 8), Protocol::kSimple);
  EXPECT_EQ(protocol({"alltoall", "--proto", "ll128"}, 8), Protocol::kLl128);
}

TEST(PerfTrial, EveryElementCounts) {
  auto trial = Trial::Make(Parse({"broadcast", "-e", "400"}).value(), {.rank = 0, .ranks = 1}, 12).value();
  ASSERT_TRUE(trial.SetSize(400));
  EXPECT_FALSE(trial.SetSize(404));
  trial.Fill(3);
  EXPECT_EQ(trial.Wrong(3), 100U) << "nothing has come yet";
  const auto launch = trial.Launches(1)[0];
  std::copy_n(launch.input.begin(), 99, launch.output.begin());
  EXPECT_EQ(trial.Wrong(3), 1U);
}

}  // namespace
}  // namespace relay::perf
