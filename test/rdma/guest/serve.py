"""The guest's side of the driver: takes orders from the virtual machine's host over a serial port, and answers them.

A line is a JSON document each way. Here come {"do": "wire", "shape"}, {"do": "run", ...} (see job.py) and {"do": "end"}; back go
{"ready": kernel}, {"alive": uptime} every second, and for every order either {"done": {...}} or {"failed": sentence}.
"""
import glob
import json
import os
import pathlib
import sys
import threading
import time
import traceback

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from fabric import Fabric, Failed  # noqa: E402
from faults import UnknownFault  # noqa: E402
from job import Job  # noqa: E402
from kernel_log import KernelLog  # noqa: E402
from shape import Shape, UnknownShape  # noqa: E402

OUT = pathlib.Path("/out")


class Port:
    def __init__(self):
        deadline = time.monotonic() + 60
        while not (ports := glob.glob("/dev/vport*")):  # its driver may still be at it
            if time.monotonic() > deadline:
                sys.exit("no virtio port has come within 60 s")
            time.sleep(0.05)
        self._fd = os.open(ports[0], os.O_RDWR | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._input = b""

    def say(self, **document):
        data = json.dumps(document).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._fd, data):]

    def order(self):
        while b"\n" not in self._input:
            data = os.read(self._fd, 65536)
            if not data:
                return {"do": "end"}  # nobody is there any more
            self._input += data
        line, _, self._input = self._input.partition(b"\n")
        return json.loads(line)


def live(port):
    while True:
        port.say(alive=time.clock_gettime(time.CLOCK_BOOTTIME))
        time.sleep(1)


class Server:
    def __init__(self):
        self._fabric = Fabric()
        self._log = KernelLog(OUT / "kernel.log")

    def do(self, order):
        if order["do"] == "wire":
            self._fabric.become(Shape(order["shape"]))
            return {}
        out = OUT / order["out"]
        result = Job(self._fabric, order, out).run()
        return {**result, "complaints": self._log.complaints()}


def main():
    os.umask(0o022)
    port, server = Port(), Server()
    port.say(ready=os.uname().release)
    threading.Thread(target=live, args=(port,), daemon=True).start()
    while (order := port.order())["do"] != "end":
        try:
            port.say(done=server.do(order))
        except (Failed, UnknownFault, UnknownShape) as failed:
            port.say(failed=str(failed))
        except Exception:  # anything else is this driver's mistake: the whole story, to where it is read
            port.say(failed=traceback.format_exc())
    port.say(done={})


main()
