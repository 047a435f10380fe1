// Grouped sends and receives between all pairs: several messages per pair in one group, of every size from nothing up,
// and pairs that have nothing to say.
#include <cstring>
#include <vector>

#include "perf/flight.h"
#include "perf/programs.h"

namespace perf {
namespace {

constexpr int kMessages = 3;  // per ordered pair and group

struct Message {
  int from, to, index;
  uint32_t seed;

  uint32_t Draw(uint32_t salt) const {
    uint32_t x = seed * 0x9e3779b1u + static_cast<uint32_t>(from * 64 + to) * 0x85ebca6bu +
                 static_cast<uint32_t>(index) * 0x7feb352du + salt;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
  }
  uint32_t data_seed() const { return Draw(1); }
  // One in four is empty; the others are of every magnitude.
  size_t Count(size_t most) const { return Draw(2) % 4 == 0 ? 0 : 1 + Draw(3) % (most >> Draw(4) % 3 * 5 | 1); }
};

class Exchange {
 public:
  Exchange(Session& session, size_t most, uint32_t seed);
  size_t Run();

 private:
  struct Transfer {
    Message message;
    size_t offset, count;
  };
  using Transfers = std::vector<Transfer>;

  size_t Plan(Transfers& transfers, size_t most, uint32_t seed, bool sending) const;
  void Fill();
  ncclResult_t Launch();
  size_t CountWrong();

  Session& session_;
  Transfers sends_, receives_;
  size_t send_size_, receive_size_;
  DeviceBuffer send_, receive_;
};

Exchange::Exchange(Session& session, size_t most, uint32_t seed)
    : session_(session),
      send_size_(Plan(sends_, most, seed, true)),
      receive_size_(Plan(receives_, most, seed, false)),
      send_(session, send_size_, false),
      receive_(session, receive_size_, false) {}

// Elements of the buffer. Each message is followed by one element that belongs to nobody.
size_t Exchange::Plan(Transfers& transfers, size_t most, uint32_t seed, bool sending) const {
  size_t offset = 1;
  for (int index = 0; index < kMessages; index++) {
    for (int peer = 0; peer < session_.ranks(); peer++) {
      Message message{sending ? session_.rank() : peer, sending ? peer : session_.rank(), index, seed};
      const size_t count = message.Count(most);
      transfers.push_back({message, offset, count});
      offset += count + 1;
    }
  }
  return offset;
}

void Exchange::Fill() {
  std::vector<float> host(send_size_);
  for (const Transfer& t : sends_)
    for (size_t i = 0; i < t.count; i++) host[t.offset + i] = Contribution(t.message.from, i, t.message.data_seed());
  CheckCuda(cudaMemcpy(send_.data(), host.data(), host.size() * sizeof(float), cudaMemcpyHostToDevice), "cudaMemcpy");
  CheckCuda(cudaMemset(receive_.data(), 0xff, receive_size_ * sizeof(float)), "cudaMemset");
}

ncclResult_t Exchange::Launch() {
  ncclResult_t result = ncclGroupStart();
  for (const Transfer& t : sends_)
    if (result == ncclSuccess)
      result = ncclSend(send_.data() + t.offset, t.count, ncclFloat, t.message.to, session_.comm(), session_.stream());
  for (const Transfer& t : receives_)
    if (result == ncclSuccess)
      result =
          ncclRecv(receive_.data() + t.offset, t.count, ncclFloat, t.message.from, session_.comm(), session_.stream());
  const ncclResult_t end = ncclGroupEnd();
  return result == ncclSuccess ? end : result;
}

size_t Exchange::CountWrong() {
  std::vector<float> host(receive_size_), untouched(1);
  CheckCuda(cudaMemcpy(host.data(), receive_.data(), host.size() * sizeof(float), cudaMemcpyDeviceToHost),
            "cudaMemcpy");
  memset(untouched.data(), 0xff, sizeof(float));
  size_t wrong = 0;
  for (const Transfer& t : receives_) {
    for (size_t i = 0; i < t.count; i++)
      wrong += host[t.offset + i] != Contribution(t.message.from, i, t.message.data_seed());
    wrong += memcmp(&host[t.offset + t.count], untouched.data(), sizeof(float)) != 0;
  }
  return wrong;
}

size_t Exchange::Run() {
  Fill();
  CheckNccl(session_.Call("launching sends and receives", [&] { return Launch(); }), "launching sends and receives");
  session_.Finish("sends and receives");
  return CountWrong();
}

}  // namespace

int RunExchange(Job& job) {
  const Options& options = job.options();
  Session session(job);
  session.Init(job.NewId(), {.blocking = options.blocking});
  size_t wrong = 0;
  for (int i = 0; i < options.iterations; i++)
    wrong += Exchange(session, options.max_bytes / sizeof(float), static_cast<uint32_t>(i + 1)).Run();
  session.Close();
  return job.Verdict("exchange", wrong);
}

}  // namespace perf
