// The fake device is held to what a device does, so that what passes on it can be believed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <thread>

#include "fake/verbs/line.h"

namespace relay::transport::rdma {
namespace {

using fake::FakeVerbs;

// Straight on the table, below Device and QueuePair.
struct RawPair {
  RawPair() {
    fake.AddLink("a0", "b0");
    auto& v = fake.table();
    int count = 0;
    ibv_device** list = v.get_device_list(&count);
    context = v.open_device(list[0]);
    v.free_device_list(list);
    domain = v.alloc_pd(context);
    queue = v.create_cq(context, 4, nullptr, nullptr, 0);
    pair = Make();
  }
  ~RawPair() {
    auto& v = fake.table();
    EXPECT_EQ(v.destroy_qp(pair), 0);
    EXPECT_EQ(v.destroy_cq(queue), 0);
    EXPECT_EQ(v.dealloc_pd(domain), 0);
    EXPECT_EQ(v.close_device(context), 0);
    EXPECT_EQ(fake.Leaks(), "");
  }
  ibv_qp* Make() {
    ibv_qp_init_attr wanted{};
    wanted.send_cq = wanted.recv_cq = queue;
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap = {.max_send_wr = 8, .max_recv_wr = 8, .max_send_sge = 1, .max_recv_sge = 1, .max_inline_data = 16};
    return fake.table().create_qp(domain, &wanted);
  }
  int Modify(ibv_qp_attr to, int mask) { return fake.table().modify_qp(pair, &to, mask); }

  FakeVerbs fake;
  ibv_context* context = nullptr;
  ibv_pd* domain = nullptr;
  ibv_cq* queue = nullptr;
  ibv_qp* pair = nullptr;
};

constexpr int kInitMask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
constexpr int kRtrMask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                         IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
constexpr int kRtsMask =
    IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;

ibv_qp_attr InitAttributes() {
  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_INIT;
  to.port_num = 1;
  to.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
  return to;
}

ibv_qp_attr RtrAttributes() {
  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_RTR;
  to.path_mtu = IBV_MTU_4096;
  to.dest_qp_num = 77;
  to.max_dest_rd_atomic = 1;
  to.ah_attr.port_num = 1;
  to.ah_attr.is_global = 1;
  to.ah_attr.grh.sgid_index = 3;
  to.ah_attr.grh.hop_limit = 255;
  return to;
}

ibv_qp_attr RtsAttributes() {
  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_RTS;
  to.timeout = 14;
  to.retry_cnt = 7;
  to.max_rd_atomic = 1;
  return to;
}

TEST(FakeVerbs, EachTransitionTakesExactlyItsAttributes) {
  RawPair raw;
  const std::array<std::pair<ibv_qp_attr, int>, 3> steps = {
      {{InitAttributes(), kInitMask}, {RtrAttributes(), kRtrMask}, {RtsAttributes(), kRtsMask}}};
  for (size_t reached = 0; reached < steps.size(); ++reached) {
    const auto& [attributes, mask] = steps[reached];
    for (int bit = 0; bit < 25; ++bit)
      EXPECT_EQ(raw.Modify(attributes, mask ^ 1 << bit), EINVAL) << reached << " " << bit;
    // Any other step from here is refused.
    for (size_t other = 0; other < steps.size(); ++other) {
      if (other == reached) continue;
      EXPECT_EQ(raw.Modify(steps[other].first, steps[other].second), EINVAL);
    }
    EXPECT_EQ(raw.Modify(attributes, mask), 0) << reached;
    EXPECT_EQ(raw.pair->state, attributes.qp_state);
  }
  ibv_qp_attr error{};
  error.qp_state = IBV_QPS_ERR;
  EXPECT_EQ(raw.Modify(error, IBV_QP_STATE), 0);
  EXPECT_EQ(raw.Modify(InitAttributes(), kInitMask), EINVAL);
}

TEST(FakeVerbs, ImpossibleAttributesAreRefused) {
  RawPair raw;
  auto init = InitAttributes();
  init.port_num = 2;
  EXPECT_EQ(raw.Modify(init, kInitMask), EINVAL);
  ASSERT_EQ(raw.Modify(InitAttributes(), kInitMask), 0);
  const std::vector<std::function<void(ibv_qp_attr&)>> changes = {
      [](ibv_qp_attr& a) { a.path_mtu = static_cast<ibv_mtu>(0); },
      [](ibv_qp_attr& a) { a.dest_qp_num = 1 << 24; },
      [](ibv_qp_attr& a) { a.rq_psn = 1 << 24; },
      [](ibv_qp_attr& a) { a.ah_attr.port_num = 2; },
      [](ibv_qp_attr& a) { a.ah_attr.is_global = 0; },
      [](ibv_qp_attr& a) { a.ah_attr.grh.sgid_index = 4; },
      [](ibv_qp_attr& a) { a.ah_attr.grh.hop_limit = 0; }};
  for (size_t i = 0; i < changes.size(); ++i) {
    auto rtr = RtrAttributes();
    changes[i](rtr);
    EXPECT_EQ(raw.Modify(rtr, kRtrMask), EINVAL) << i;
  }
}

TEST(FakeVerbs, WorkIsTakenOnlyInTheStatesThatTakeIt) {
  RawPair raw;
  ibv_send_wr send{}, *bad_send = nullptr;
  send.opcode = IBV_WR_SEND;
  ibv_recv_wr receive{}, *bad_receive = nullptr;
  const auto& ops = raw.context->ops;
  EXPECT_EQ(ops.post_recv(raw.pair, &receive, &bad_receive), EINVAL);
  raw.Modify(InitAttributes(), kInitMask);
  EXPECT_EQ(ops.post_recv(raw.pair, &receive, &bad_receive), 0);
  EXPECT_EQ(ops.post_send(raw.pair, &send, &bad_send), EINVAL);
  EXPECT_EQ(bad_send, &send);
  raw.Modify(RtrAttributes(), kRtrMask);
  EXPECT_EQ(ops.post_send(raw.pair, &send, &bad_send), EINVAL);
  ibv_qp_attr error{};
  error.qp_state = IBV_QPS_ERR;
  raw.Modify(error, IBV_QP_STATE);
  EXPECT_EQ(ops.post_send(raw.pair, &send, &bad_send), 0) << "taken, and flushed";
  std::array<ibv_wc, 4> out;
  ASSERT_EQ(ops.poll_cq(raw.queue, 4, out.data()), 2);
  EXPECT_EQ(out[0].status, IBV_WC_WR_FLUSH_ERR);
  EXPECT_EQ(out[1].status, IBV_WC_WR_FLUSH_ERR);
}

TEST(FakeVerbs, PostsBeyondTheDepthPiecesOrInlineSizeAreRefused) {
  RawPair raw;
  raw.Modify(InitAttributes(), kInitMask);
  std::array<ibv_recv_wr, 9> chain{};
  for (size_t i = 0; i + 1 < chain.size(); ++i) chain[i].next = &chain[i + 1];
  ibv_recv_wr* bad_receive = nullptr;
  EXPECT_EQ(raw.context->ops.post_recv(raw.pair, chain.data(), &bad_receive), ENOMEM);
  EXPECT_EQ(bad_receive, &chain[8]);
  raw.Modify(RtrAttributes(), kRtrMask);
  raw.Modify(RtsAttributes(), kRtsMask);
  std::array<ibv_sge, 2> pieces{};
  ibv_send_wr send{}, *bad_send = nullptr;
  send.opcode = IBV_WR_SEND;
  send.sg_list = pieces.data();
  send.num_sge = 2;
  EXPECT_EQ(raw.context->ops.post_send(raw.pair, &send, &bad_send), EINVAL);
  std::array<std::byte, 17> bytes{};
  pieces[0] = {reinterpret_cast<uint64_t>(bytes.data()), 17, 0};
  send.num_sge = 1;
  send.send_flags = IBV_SEND_INLINE;
  EXPECT_EQ(raw.context->ops.post_send(raw.pair, &send, &bad_send), EINVAL);
}

TEST(FakeVerbs, ACompletionQueueThatOverflowsFailsAndSaysSo) {
  RawPair raw;
  raw.Modify(InitAttributes(), kInitMask);
  std::array<ibv_recv_wr, 6> chain{};
  for (size_t i = 0; i + 1 < chain.size(); ++i) chain[i].next = &chain[i + 1];
  ibv_recv_wr* bad = nullptr;
  ASSERT_EQ(raw.context->ops.post_recv(raw.pair, chain.data(), &bad), 0);
  ibv_qp_attr error{};
  error.qp_state = IBV_QPS_ERR;
  raw.Modify(error, IBV_QP_STATE);  // six are flushed into a queue of four
  ibv_wc wc;
  EXPECT_LT(raw.context->ops.poll_cq(raw.queue, 1, &wc), 0);
  ibv_async_event event{};
  ASSERT_EQ(raw.fake.table().get_async_event(raw.context, &event), 0);
  EXPECT_EQ(event.event_type, IBV_EVENT_CQ_ERR);
  EXPECT_EQ(event.element.cq, raw.queue);
  raw.fake.table().ack_async_event(&event);
}

TEST(FakeVerbs, WhatIsInUseIsNotDestroyed) {
  RawPair raw;
  auto& v = raw.fake.table();
  EXPECT_EQ(v.destroy_cq(raw.queue), EBUSY);
  EXPECT_EQ(v.dealloc_pd(raw.domain), EBUSY);
}

TEST(FakeVerbs, DestroyingWaitsForEventsThatAreBeingLookedAt) {
  RawPair raw;
  ibv_qp* other = raw.Make();
  raw.fake.RaisePairEvent(other->qp_num, IBV_EVENT_QP_REQ_ERR);
  ibv_async_event event{};
  ASSERT_EQ(raw.fake.table().get_async_event(raw.context, &event), 0);
  std::atomic<bool> gone{false};
  std::thread destroying([&] {
    EXPECT_EQ(raw.fake.table().destroy_qp(other), 0);
    gone = true;
  });
  // It is out of the table as soon as the call has begun.
  while (raw.fake.queue_pairs().size() > 1) std::this_thread::yield();
  EXPECT_FALSE(gone);
  raw.fake.table().ack_async_event(&event);
  destroying.join();
}

}  // namespace
}  // namespace relay::transport::rdma
