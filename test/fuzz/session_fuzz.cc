// What a neighbour sends before and during a session. The first byte chooses what reads the rest: the decoders of the
// messages, the frames of a session with and without a key, or either side of a greeting. Nobody who does not hold the
// key gets a byte believed.
#include "agent/session/frame.h"
#include "agent/session/message.h"
#include "agent/session/survey.h"
#include "agent/trust/handshake.h"
#include "base/codec.h"
#include "fuzz/check.h"

namespace relay::agent {
namespace {

std::shared_ptr<const Key> FuzzKey() {
  const std::array<std::byte, 32> bytes{};
  return Key::FromBytes(bytes);
}

template <class Message>
void RoundTrip(const Result<Message>& message, std::span<const std::byte> body) {
  if (!message) return;
  const auto again = EncodeBody(*message);
  fuzz::Check(std::equal(body.begin(), body.end(), again.begin(), again.end()));
}

void Messages(std::span<const std::byte> body) {
  if (auto m = DecodeSession(body)) fuzz::Check(m->name.size() <= kMaxNameBytes && m->build.size() <= kMaxBuildBytes);
  RoundTrip(DecodeSession(body), body);
  RoundTrip(DecodeSurvey(body), body);
  RoundTrip(DecodeFindings(body), body);
  Surveys surveys(1, {[](SessionId, const SurveyMessage&) {}, [](SessionId, const FindingsMessage&) {},
                      [](const std::string&) { return Finding{}; },
                      [] {
                        return std::vector<SessionId>{1, 2, 3};
                      }});
  const TimePoint now{};
  surveys.Receive(1, SurveyMessage{7, 7, 100, "q"}, now);
  if (auto survey = DecodeSurvey(body)) surveys.Receive(2, *survey, now);
  if (auto findings = DecodeFindings(body)) surveys.Receive(2, *findings, now);
  surveys.Tick(TimePoint::max());
}

void Frames(std::span<const std::byte> bytes, bool keyed) {
  FrameReader reader(keyed ? FuzzKey() : nullptr, Side::kDialler);
  for (size_t step = 1; !bytes.empty(); step = step * 7 % 251) {
    const size_t n = std::min(step, bytes.size());
    reader.Append(bytes.first(n));
    bytes = bytes.subspan(n);
    while (true) {
      auto frame = reader.Next();
      if (!frame) return;
      if (!*frame) break;
      fuzz::Check(!keyed || (*frame)->type == SetupType::kRefused);
      fuzz::Check((*frame)->body.size() <= MaxBody((*frame)->type));
    }
  }
}

// Messages of (type, length, body), one after the other.
template <class Side>
void Greet(Side& side, ByteReader in) {
  while (in.ok() && in.remaining() > 0 && !side.done()) {
    const auto type = in.Get<uint8_t>();
    auto body = in.GetBytes(std::min<size_t>(in.Get<uint8_t>() * 2u, in.remaining()));
    HandshakeStep step = side.Receive(static_cast<SetupType>(type % 13), body);
    fuzz::Check(!step.refused || !side.done());
    fuzz::Check(!step.refused || step.refused->message.sentence.size() < 4096);
  }
}

}  // namespace
}  // namespace relay::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace relay;
  using namespace relay::agent;
  if (size == 0) return 0;
  const auto bytes = fuzz::Bytes(data + 1, size - 1);
  const bool keyed = (data[0] & 1) != 0;
  const auto key = keyed ? FuzzKey() : nullptr;
  switch (data[0] / 2 % 4) {
    case 0:
      Messages(bytes);
      break;
    case 1:
      Frames(bytes, keyed);
      break;
    case 2: {
      AcceptorHandshake acceptor(key, {2, "B"}, Nonce{}, nullptr);
      Greet(acceptor, ByteReader(bytes));
      fuzz::Check(!keyed || !acceptor.done());
      break;
    }
    default: {
      DialerHandshake dialler(key, {{1, "A"}, {2, "B"}, EncodeOpen({})}, Nonce{});
      dialler.Begin();
      Greet(dialler, ByteReader(bytes));
      fuzz::Check(dialler.done() != keyed);
    }
  }
  return 0;
}
