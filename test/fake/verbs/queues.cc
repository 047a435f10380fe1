// Completion queues and channels of FakeVerbs.
#include "fake/verbs/events.h"

namespace relay::fake {
namespace {

using Lock = std::unique_lock<std::mutex>;

ibv_comp_channel* CreateChannel(ibv_context* which) {
  auto& state = *static_cast<FakeContext*>(which)->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("create_comp_channel", which)) return NullWith(error);
  auto* channel = new FakeChannel;
  static_cast<ibv_comp_channel&>(*channel) = {};
  channel->context = which;
  channel->state = &state;
  if (!channel->events.Open()) {
    delete channel;
    return nullptr;
  }
  channel->fd = channel->events.fd;
  ++state.channels;
  return channel;
}

int DestroyChannel(ibv_comp_channel* which) {
  auto* channel = static_cast<FakeChannel*>(which);
  auto& state = *channel->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("destroy_comp_channel", true)) return error;
  if (channel->users > 0) return EBUSY;
  channel->events.Close();
  --state.channels;
  delete channel;
  return 0;
}

ibv_cq* CreateQueue(ibv_context* which, int entries, void* user, ibv_comp_channel* channel, int vector) {
  auto* context = static_cast<FakeContext*>(which);
  auto& state = *context->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("create_cq", which)) return NullWith(error);
  if (entries <= 0 || static_cast<uint32_t>(entries) > context->hardware->spec.completions || vector != 0) {
    return NullWith(EINVAL);
  }
  auto* queue = new FakeQueue;
  static_cast<ibv_cq&>(*queue) = {};
  queue->context = which;
  queue->channel = channel;
  queue->cq_context = user;
  queue->cqe = entries;
  queue->state = &state;
  queue->told = static_cast<FakeChannel*>(channel);
  if (queue->told) ++queue->told->users;
  ++state.queues;
  return queue;
}

int DestroyQueue(ibv_cq* which) {
  auto* queue = static_cast<FakeQueue*>(which);
  auto& state = *queue->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("destroy_cq", true)) return error;
  if (queue->users > 0 || queue->unacknowledged > 0) return EBUSY;
  auto& events = static_cast<FakeContext*>(queue->context)->events;
  events.Drop([&](const ibv_async_event& e) { return e.event_type == IBV_EVENT_CQ_ERR && e.element.cq == which; });
  state.acknowledged.wait(lock, [&] { return queue->unacknowledged_async == 0; });
  if (queue->told) {
    queue->told->events.Drop([&](FakeQueue* q) { return q == queue; });
    --queue->told->users;
  }
  --state.queues;
  delete queue;
  return 0;
}

int GetQueueEvent(ibv_comp_channel* which, ibv_cq** queue, void** user) {
  auto* channel = static_cast<FakeChannel*>(which);
  Lock lock(channel->state->mutex);
  auto event = channel->events.Pop();
  if (!event) {
    errno = EAGAIN;
    return -1;
  }
  ++(*event)->unacknowledged;
  *queue = *event;
  *user = (*event)->cq_context;
  return 0;
}

void AckQueueEvents(ibv_cq* which, unsigned count) {
  auto* queue = static_cast<FakeQueue*>(which);
  Lock lock(queue->state->mutex);
  queue->unacknowledged -= count;
}

}  // namespace

int PollQueue(ibv_cq* which, int most, ibv_wc* out) {
  auto* queue = static_cast<FakeQueue*>(which);
  Lock lock(queue->state->mutex);
  if (queue->state->Enter("poll_cq") != 0 || queue->overrun) return -1;
  int count = 0;
  for (; count < most && !queue->entries.empty(); ++count) {
    const Entry& entry = queue->entries.front();
    out[count] = entry.wc;
    (entry.send ? entry.pair->sends_free : entry.pair->receives_free) = entry.number + 1;
    queue->entries.pop_front();
  }
  return queue->state->on_poll ? queue->state->on_poll({out, static_cast<size_t>(most)}, count) : count;
}

int ArmQueue(ibv_cq* which, int solicited_only) {
  auto* queue = static_cast<FakeQueue*>(which);
  Lock lock(queue->state->mutex);
  if (const int error = queue->state->Enter("req_notify_cq")) return error;
  // Armed for everything stays so.
  if (queue->armed != FakeQueue::Armed::kAny) {
    queue->armed = solicited_only ? FakeQueue::Armed::kSolicited : FakeQueue::Armed::kAny;
  }
  return 0;
}

void FillQueueCalls(FakeVerbs::State& state) {
  state.table.create_comp_channel = CreateChannel;
  state.table.destroy_comp_channel = DestroyChannel;
  state.table.create_cq = CreateQueue;
  state.table.destroy_cq = DestroyQueue;
  state.table.get_cq_event = GetQueueEvent;
  state.table.ack_cq_events = AckQueueEvents;
}

}  // namespace relay::fake
