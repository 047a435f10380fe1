// Two ends of a link of FakeVerbs, each with a queue pair, connected as a dialler and an acceptor connect theirs.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "fake/verbs/fake_verbs.h"
#include "transport/rdma/queue_pair.h"

namespace relay::fake {

// Members go in reverse order: pairs, memory, devices.
struct End {
  std::shared_ptr<transport::rdma::Device> device;
  std::unique_ptr<transport::rdma::QueuePair> pair;

  uint32_t number() const { return pair->near().queue_pair; }
};

inline End OpenEnd(FakeVerbs& fake, const std::string& name, const transport::rdma::Depths& depths = {},
                   uint8_t port = 1) {
  End end;
  auto device = transport::rdma::Device::Open(name, port, &fake.table());
  EXPECT_TRUE(device) << device.error().what;
  if (!device) return end;
  end.device = std::move(*device);
  auto pair = transport::rdma::QueuePair::Create(end.device, depths);
  EXPECT_TRUE(pair) << pair.error().what;
  if (pair) end.pair = std::move(*pair);
  return end;
}

// One end may be its own peer.
inline Status Join(End& dialler, End& acceptor) {
  const auto offer = dialler.pair->near(), answer = acceptor.pair->near();
  auto gids = transport::rdma::ChooseGids(answer, offer, {}, {});
  if (!gids) return tl::unexpected<Error>(std::move(gids).error());
  RELAY_TRY(acceptor.pair->Connect(offer, *gids));
  if (&dialler == &acceptor) return {};
  return dialler.pair->Connect(answer, {gids->far, gids->near});
}

// Bytes of this process, registered at one end.
struct Buffer {
  std::vector<std::byte> bytes;
  std::shared_ptr<transport::rdma::Memory> memory;

  transport::rdma::Piece piece(size_t offset, size_t size) {
    return {bytes.data() + offset, static_cast<uint32_t>(size), memory->local_key()};
  }
  transport::rdma::Remote remote(size_t offset = 0) const {
    return {reinterpret_cast<uint64_t>(bytes.data() + offset), memory->remote_key()};
  }
};

inline Buffer MakeBuffer(transport::rdma::Device& device, size_t size, uint8_t seed = 0) {
  Buffer out;
  for (size_t i = 0; i < size; ++i) out.bytes.push_back(std::byte(seed == 0 ? 0u : (i * 131 + seed) & 0xff));
  auto memory = device.Register(out.bytes.data(), size);
  EXPECT_TRUE(memory) << memory.error().what;
  if (memory) out.memory = std::move(*memory);
  return out;
}

}  // namespace relay::fake
