"""One virtual machine: boots, takes orders, and says in a sentence how it died."""
import json
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MIB = 2048
BOOT_SECONDS = 600  # it takes 5 on an idle machine
SILENCE_SECONDS = 120  # of a guest that says that it is alive every second
CONSOLE_LINES = 25


class GuestFailure(Exception):
    """The virtual machine is of no more use."""


class GuestPanic(GuestFailure):
    pass


class GuestHang(GuestFailure):
    pass


class OrderFailed(Exception):
    """The guest lives, and could not do what it was told."""


class Machine:
    def __init__(self, kernel, out, processors=2, silence=SILENCE_SECONDS):
        """`kernel` is what kernel.py made; the guest sees the folder `out` as /out, writable, and all else read-only."""
        self.out, self.silence = out, silence
        self._console = out / "console.log"
        self._qemu_log = out / "qemu.log"
        self._input = b""
        self._port, guest_end = socket.socketpair()
        with guest_end, open(self._qemu_log, "wb") as log:
            self.process = subprocess.Popen(self._command(kernel, processors, guest_end.fileno()), pass_fds=[guest_end.fileno()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._heard = time.monotonic()
        try:
            self.release = self._answer("ready", BOOT_SECONDS, silence=BOOT_SECONDS)
        except BaseException:
            self.kill()
            raise

    def order(self, within, **document):
        """The guest's answer. A guest that does not give one within so many seconds hangs, for it keeps its own time limits."""
        try:
            self._port.sendall(json.dumps(document).encode() + b"\n")
        except OSError:
            pass  # why it is gone is told below
        return self._answer("done", within, self.silence)

    def close(self):
        if self.process.poll() is None:
            try:
                self.order(30, do="end")
                self.process.wait(timeout=30)
            except (GuestFailure, OrderFailed, subprocess.TimeoutExpired):
                pass
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._port.close()

    def _command(self, kernel, processors, port):
        share = "local,security_model=none"
        return [
            shutil.which("qemu-system-x86_64"), "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off",
            "-smp", str(processors), "-m", str(MEMORY_MIB), "-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot",
            "-kernel", kernel / "vmlinux", "-initrd", kernel / "initramfs",
            # A loaded machine's timer interrupts come late: the kernel must not take that for broken hardware, nor its counter of
            # time for unstable; it would patch its clock's code beneath an emulated processor that is just reading it, and die.
            "-append", f"console=ttyS0 quiet panic=-1 no_timer_check nowatchdog tsc=reliable guest={HERE / 'guest'}",
            "-serial", f"file:{self._console}",
            "-fsdev", f"{share},id=host,path=/,readonly=on,multidevs=remap", "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
            "-fsdev", f"{share},id=out,path={self.out}", "-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=orders,fd={port}", "-device", "virtserialport,chardev=orders",
        ]

    def _answer(self, word, within, silence):
        end = time.monotonic() + within
        self._heard = time.monotonic()
        while True:
            for document in self._lines():
                if word in document:
                    return document[word]
                if "failed" in document:
                    raise OrderFailed(document["failed"])
            now = time.monotonic()
            if now - self._heard > silence:
                self._fail(GuestHang, f"the guest hangs: it has said nothing for {silence} s")
            if now > end:
                self._fail(GuestHang, f"the guest hangs: it lives, but has not answered within {within} s")

    def _lines(self):
        """What the guest says next, waiting for a moment."""
        if not select.select([self._port], [], [], 0.5)[0]:
            return []
        try:
            data = self._port.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._gone()
        self._heard = time.monotonic()
        *whole, self._input = (self._input + data).split(b"\n")
        return [json.loads(line) for line in whole]

    def _gone(self):
        try:
            status = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._fail(GuestFailure, "qemu has closed its serial port, and goes on")
        console = self._console.read_text(errors="replace")
        panic = re.search(r"Kernel panic.*", console)
        if panic:
            self._fail(GuestPanic, f"the guest's kernel died ({panic[0].strip()})")
        if status == 0:
            self._fail(GuestFailure, "the guest powered itself off")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        self._fail(GuestFailure, f"qemu ended: {how}: {self._qemu_log.read_text(errors='replace').strip()}")

    def _fail(self, kind, sentence):
        self.kill()
        tail = self._console.read_text(errors="replace").splitlines()[-CONSOLE_LINES:]
        raise kind("\n".join([f"{sentence}; its console ({self._console}) ends with", *tail]))
