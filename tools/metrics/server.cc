#include "metrics/server.h"

#include <fmt/format.h>
#include <signal.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <functional>
#include <optional>
#include <thread>

#include "metrics/answer.h"

namespace relay::metrics {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr size_t kMostConnections = 8;
constexpr uint32_t kMostHeader = 4096;
constexpr auto kWholeRequest = std::chrono::seconds(5);
constexpr auto kWholeResponse = std::chrono::seconds(5);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

// One request, one response. Alive as long as something is under way.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Answerer& answerer, size_t& count)
      : stream_(std::move(socket)), answerer_(answerer), count_(count) {
    ++count_;
  }
  ~Connection() { --count_; }

  void Start() {
    parser_.header_limit(kMostHeader);
    parser_.body_limit(0);
    // The whole request has so much time, however slowly it trickles in.
    stream_.expires_after(kWholeRequest);
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](beast::error_code error, size_t) { self->Read(error); });
  }

 private:
  void Read(beast::error_code error) {
    if (error == http::error::end_of_stream || error == beast::error::timeout) return;
    if (error) return Send({400, "text/plain; charset=utf-8", "not a request that is answered here\n"});
    const auto& request = parser_.get();
    head_ = request.method() == http::verb::head;
    if (request.method() != http::verb::get && !head_) {
      return Send({405, "text/plain; charset=utf-8", "only GET and HEAD\n"});
    }
    const std::string target(request.target());
    Send(answerer_.Answer(target.substr(0, target.find('?'))));
  }

  void Send(Response response) {
    response_.result(response.status);
    response_.version(11);
    response_.set(http::field::content_type, response.type);
    response_.set(http::field::cache_control, "no-store");
    response_.keep_alive(false);
    response_.content_length(response.body.size());
    if (!head_) response_.body() = std::move(response.body);
    serializer_.emplace(response_);
    serializer_->split(head_);
    stream_.expires_after(kWholeResponse);
    const auto done = [self = shared_from_this()](beast::error_code, size_t) {
      beast::error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    };
    head_ ? http::async_write_header(stream_, *serializer_, done) : http::async_write(stream_, *serializer_, done);
  }

  beast::tcp_stream stream_;
  Answerer& answerer_;
  size_t& count_;
  beast::flat_static_buffer<2 * kMostHeader> buffer_;
  http::request_parser<http::empty_body> parser_;
  http::response<http::string_body> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  bool head_ = false;
};

Result<tcp::endpoint> EndpointOf(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
  const std::string digits = colon == std::string::npos ? text : text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  uint16_t port = 0;
  const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  beast::error_code error;
  const auto address = asio::ip::make_address(host.empty() ? "127.0.0.1" : host, error);
  if (bad != std::errc() || end != digits.data() + digits.size() || error) {
    return Fail(ErrorCode::kUsage, "metrics cannot be served at \"" + text.substr(0, 80) +
                                       "\": write it like 127.0.0.1:9417, [::1]:9417 or 0.0.0.0:9417");
  }
  return tcp::endpoint(address, port);
}

// In a thread that no signal goes to: they are for those who wait for them.
std::thread QuietThread(std::function<void()> body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread out(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return out;
}

}  // namespace

struct MetricsServer::Inner {
  explicit Inner(const std::string& socket) : answerer(socket) {}

  Status Listen(const std::string& address) {
    auto endpoint = EndpointOf(address);
    RELAY_TRY(endpoint);
    beast::error_code error;
    const auto failed = [&] {
      return Fail(ErrorCode::kUsage, "metrics cannot be served at " + address + ": " + error.message(), error.value());
    };
    if (acceptor.open(endpoint->protocol(), error)) return failed();
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (acceptor.bind(*endpoint, error)) return failed();
    if (acceptor.listen(static_cast<int>(kMostConnections), error)) return failed();
    return {};
  }

  void Accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) return AcceptLater();
      // Beyond the limit: closed at once.
      if (connections < kMostConnections) {
        std::make_shared<Connection>(std::move(socket), answerer, connections)->Start();
      }
      Accept();
    });
  }

  // No descriptor is left, for example.
  void AcceptLater() {
    pause.expires_after(kAcceptPause);
    pause.async_wait([this](beast::error_code error) {
      if (!error) Accept();
    });
  }

  // Before what it runs: connections that it still holds when it goes count down.
  size_t connections = 0;
  Answerer answerer;
  asio::io_context context{1};
  tcp::acceptor acceptor{context};
  asio::steady_timer pause{context};
  std::thread thread;
};

MetricsServer::MetricsServer(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address, const std::string& socket) try {
  auto inner = std::make_unique<Inner>(socket);
  RELAY_TRY(inner->Listen(address));
  inner->Accept();
  inner->thread = QuietThread([context = &inner->context] { context->run(); });
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(inner)));
} catch (const std::exception& error) {
  return Fail(ErrorCode::kSystem, "metrics cannot be served at " + address + ": " + error.what());
}

MetricsServer::~MetricsServer() {
  inner_->context.stop();
  inner_->thread.join();
}

Result<std::shared_ptr<void>> Serve(const std::string& address, const std::string& socket) {
  auto server = MetricsServer::Start(address, socket);
  RELAY_TRY(server);
  return std::shared_ptr<void>(std::move(*server));
}

uint16_t MetricsServer::port() const {
  beast::error_code error;
  return inner_->acceptor.local_endpoint(error).port();
}

}  // namespace relay::metrics
