"""A bad neighbour: python3 hostile.py CONTROL_SOCKET ADDRESS PORT SECONDS. Talks nonsense to an agent, on its control
socket and on its port, in every way that a broken or malicious program could, and holds on to what it opens. It speaks the
agent's own versions: what is of another one is refused before it is read."""
import os
import pathlib
import random
import re
import socket
import struct
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def version(file, name):
    return int(re.search(rf"{name} = (\d+);", (ROOT / file).read_text())[1])


SETUP_VERSION = version("plugin/circuit/setup.cc", "kSetupVersion")
CONTROL_VERSION = version("include/relay/control.h", "kControlVersion")


def control(name, words):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.setblocking(False)
    s.connect("\0" + name[1:] if name[0] == "@" else name)
    for word in words:
        s.send(word)
    return s


def packet(kind, body=b"", request=1):
    return struct.pack("<4sHHQ", b"nRLC", kind, 0, request) + body


def setup(kind, body, length=None, version=SETUP_VERSION):
    return struct.pack("<4sHHI", b"nRLY", version, kind, len(body) if length is None else length) + body


HELLO = packet(1, struct.pack("<HH", CONTROL_VERSION, 1) + b"x\0\0")
CONTROL = [[], [b"?"], [HELLO, packet(77)], [packet(1, struct.pack("<HH", 99, 0))], [packet(4, b"\0" * 50)],
           [HELLO, packet(2, b"\1" * 16), packet(4, b"\2" * 48 + b"\0\0"), packet(5)], [HELLO, os.urandom(60000)],
           [HELLO, packet(6, struct.pack("<H", 65535) + b"status")]]
WIRE = [b"", b"G", b"GET / HTTP/1.0\r\n\r\n", setup(1, b"", 16384), setup(1, b"\0" * 64), setup(2, b"\0" * 40),
        *(setup(kind, b"abc") for kind in range(4, 14)), setup(4, b"\3" * 40), setup(7, b"\4" * 100),
        setup(1, b"", 0xffffffff), setup(1, b"\xff" * 2000), setup(1, b"", 100, SETUP_VERSION + 2)]


def main():
    name, address, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    random.seed(3)
    kept, made, refused = [], 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if random.random() < 0.5:
                kept.append(control(name, random.choice(CONTROL)))
            else:
                s = socket.create_connection((address, port), timeout=1)
                kept.append(s)
                s.sendall(random.choice(WIRE))
            made += 1
        except OSError:
            refused += 1
        if len(kept) > 400:
            kept.pop(random.randrange(len(kept))).close()
        time.sleep(0.002)
    print(f"hostile: {made} connections, {refused} refused", flush=True)


main()
