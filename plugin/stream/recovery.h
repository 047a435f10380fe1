// Who finds another circuit for a connection that has lost its own, or doubts it. Of one stream, on the service thread.
#pragma once
#include "base/clock.h"

namespace relay::stream {

class Recovery {
 public:
  struct Need {
    bool circuit = false;  // there is none
    bool doubt = false;    // there is one that gives no sign of life
    bool waiting = false;  // somebody waits for what it should bring
    bool ended = false;    // the connection has failed: nothing is needed any more
    bool hung_up = false;  // the last circuit ended as by a process that ends, not as a cable does
  };

  // Destroyed when the stream is finished.
  virtual ~Recovery() = default;
  // Takes what has come and asks for what is needed; never blocks for long. Not under the stream's lock.
  virtual void Tend(TimePoint now, const Need& need) = 0;
};

}  // namespace relay::stream
