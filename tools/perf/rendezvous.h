// Where the ranks meet beside the plugin: TCP connections from every rank to rank 0. Carries handles, barriers,
// figures, and why a rank gave up. Every wait has a deadline. One thread.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/fd.h"
#include "perf/options.h"
#include "perf/signs.h"

namespace relay::perf {

class Rendezvous {
 public:
  using Bytes = std::vector<std::byte>;
  static constexpr size_t kMostBytes = size_t{4} << 20;  // of one rank in one exchange

  // Rank 0 listens, the others come, within `limit`; later nobody is silent for longer.
  static Result<std::unique_ptr<Rendezvous>> Join(const World& world, std::chrono::milliseconds limit);

  // After GiveUp, waits a moment until the others have read why.
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  // Everybody's, by rank, once all have called.
  Result<std::vector<Bytes>> Exchange(std::span<const std::byte> own);
  Status Barrier();
  template <class T>
  Result<std::vector<T>> Gather(const T& own);

  // An error when another rank has failed or gone. Never blocks. Whoever works for long calls it often: it is also the
  // sign of life for those that wait in Exchange.
  Status Watch();
  // Tells the others why this rank gives up; they learn it in Watch or Exchange.
  void GiveUp(const std::string& sentence);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Kind : uint32_t { kBytes = 1, kFailure = 2, kAlive = 3 };

  Rendezvous(const World& world, std::chrono::milliseconds limit) : world_(world), limit_(limit), signs_(limit) {}
  Status Listen(TimePoint deadline);
  Status Greet(Fd fd);
  Status Connect(TimePoint deadline);
  Status Write(int peer, Kind kind, std::span<const std::byte> bytes);
  // The next frame of the peer, its failure as an error; nullopt: a sign of life.
  Result<std::optional<Bytes>> Read(int peer, size_t most);
  Status ReadBytes(int peer, std::span<std::byte> out);
  Result<std::vector<Bytes>> CollectAndSpread(std::span<const std::byte> own);
  Result<std::vector<Bytes>> SendAndReceive(std::span<const std::byte> own);
  void SaySignOfLife();
  void TellAll(Kind kind, std::span<const std::byte> bytes);
  tl::unexpected<Error> Gone(int peer);
  tl::unexpected<Error> Silent(int peer) const;

  const World world_;
  const std::chrono::milliseconds limit_;
  bool gave_up_ = false;
  Signs signs_;
  std::vector<Fd> fds_;  // by peer; empty where there is no connection
};

template <class T>
Result<std::vector<T>> Rendezvous::Gather(const T& own) {
  static_assert(std::is_trivially_copyable_v<T>);
  auto all = Exchange(std::as_bytes(std::span(&own, 1)));
  RELAY_TRY(all);
  std::vector<T> out;
  for (const Bytes& bytes : *all) {
    if (bytes.size() != sizeof(T)) return Fail(ErrorCode::kRemote, "the ranks are not of one version");
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    out.push_back(value);
  }
  return out;
}

}  // namespace relay::perf
