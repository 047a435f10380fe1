"""A plugin's client that offers it GPU memory, which no CPU may touch: `gpu_pointers.py LIBRARY`, in a node of the lab.

Memory without access rights stands for the GPU's: whoever touches it dies of SIGSEGV, or is refused by the kernel.
"""
import ctypes
import mmap
import os
import sys
import time

HOST, CUDA, DMABUF = 1, 2, 4  # kinds of pointers, as NCCL numbers them
SIZE = 1 << 20
PATIENCE = 20  # seconds

Pointer, Handle = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
Logger = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p,
                          ctypes.c_char_p)


def entry(*arguments):
    return ctypes.CFUNCTYPE(ctypes.c_int, *arguments)


class Net(ctypes.Structure):  # ncclNet_v11_t
    _fields_ = [("name", ctypes.c_char_p),
                ("init", entry(Handle, ctypes.c_uint64, Pointer, Logger, Pointer)),
                ("devices", entry(ctypes.POINTER(ctypes.c_int))),
                ("get_properties", entry(ctypes.c_int, Pointer)),
                ("listen", entry(Pointer, ctypes.c_int, Pointer, Handle)),
                ("connect", entry(Pointer, ctypes.c_int, Pointer, Handle, Pointer)),
                ("accept", entry(Pointer, Handle, Pointer)),
                ("reg_mr", entry(Pointer, Pointer, ctypes.c_size_t, ctypes.c_int, Handle)),
                ("reg_mr_dma_buf", entry(Pointer, Pointer, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint64,
                                         ctypes.c_int, Handle)),
                ("dereg_mr", entry(Pointer, Pointer)),
                ("isend", entry(Pointer, Pointer, ctypes.c_size_t, ctypes.c_int, Pointer, Pointer, Handle)),
                ("irecv", entry(Pointer, ctypes.c_int, Handle, ctypes.POINTER(ctypes.c_size_t),
                                ctypes.POINTER(ctypes.c_int), Handle, Pointer, Handle)),
                ("iflush", Pointer),
                ("test", entry(Pointer, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))),
                ("close_send", entry(Pointer)),
                ("close_recv", entry(Pointer)),
                ("close_listen", entry(Pointer)),
                ("unused", Pointer * 3),
                ("finalize", entry(Pointer)),
                ("set_attributes", Pointer)]


class Properties(ctypes.Structure):  # the head of ncclNetProperties_v11_t
    _fields_ = [("name", ctypes.c_char_p), ("path", ctypes.c_char_p), ("guid", ctypes.c_uint64),
                ("pointers", ctypes.c_int), ("rest", ctypes.c_char * 256)]


def check(result, what):
    assert result == 0, f"{what}: {result}"


def until(done, what):
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, what


def gpu_memory(size):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = Pointer
    libc.mmap.argtypes = [Pointer, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    return libc.mmap(None, size, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)


class Client:
    """One process that is connected to itself."""

    def __init__(self, library):
        self.net = Net.in_dll(ctypes.CDLL(library), "ncclNetPlugin_v11")
        self.log = Logger(lambda level, flags, file, line, form, text: level <= 2 and print(text.decode(), flush=True))
        self.context, self.sender, self.receiver = Pointer(), Pointer(), Pointer()
        check(self.net.init(self.context, 1, None, self.log, None), "init")
        handle, listener = ctypes.create_string_buffer(128), Pointer()
        check(self.net.listen(self.context, 0, handle, listener), "listen")

        def connected():
            if not self.sender:
                check(self.net.connect(self.context, 0, handle, self.sender, None), "connect")
            if not self.receiver:
                check(self.net.accept(listener, self.receiver, None), "accept")
            return self.sender and self.receiver

        until(connected, "no connection")
        check(self.net.close_listen(listener), "closeListen")

    def register(self, comm, data, kind):
        region = Pointer()
        return self.net.reg_mr(comm, data, SIZE, kind, region), region

    def send(self, data, region):
        request = Pointer()

        def taken():
            check(self.net.isend(self.sender, data, SIZE, 0, region, None, request), "isend")
            return request

        until(taken, "isend has no room")
        return request

    def receive(self, data, region):
        request = Pointer()

        def taken():
            check(self.net.irecv(self.receiver, 1, Pointer(data), ctypes.c_size_t(SIZE), ctypes.c_int(0), region, None,
                                 request), "irecv")
            return request

        until(taken, "irecv has no room")
        return request

    def exchange(self):
        """From host memory to host memory."""
        out = ctypes.create_string_buffer(bytes(range(256)) * (SIZE // 256), SIZE)
        into = ctypes.create_string_buffer(SIZE)
        out_result, out_region = self.register(self.sender, out, HOST)
        in_result, in_region = self.register(self.receiver, into, HOST)
        check(out_result or in_result, "regMr of host memory")
        requests = [self.send(out, out_region), self.receive(ctypes.addressof(into), in_region)]

        def landed():
            for request in list(requests):
                done = ctypes.c_int()
                check(self.net.test(request, done, ctypes.c_int()), "test")
                if done:
                    requests.remove(request)
            return not requests

        until(landed, "the message does not arrive")
        assert into.raw == out.raw
        check(self.net.dereg_mr(self.sender, out_region), "deregMr")
        check(self.net.dereg_mr(self.receiver, in_region), "deregMr")

    def close(self):
        check(self.net.close_send(self.sender), "closeSend")
        check(self.net.close_recv(self.receiver), "closeRecv")
        check(self.net.finalize(self.context), "finalize")


def main(library):
    client = Client(library)
    properties = Properties()
    check(client.net.get_properties(0, ctypes.byref(properties)), "getProperties")
    assert properties.pointers == HOST, f"pointer kinds {properties.pointers}"
    memory = gpu_memory(SIZE)
    for comm in (client.sender, client.receiver):
        for kind in (CUDA, DMABUF, HOST | CUDA):
            result, region = client.register(comm, memory, kind)
            assert result != 0 and not region, f"GPU memory was registered as kind {kind}"
    descriptor = os.memfd_create("gpu")
    os.ftruncate(descriptor, SIZE)
    for comm in (client.sender, client.receiver):
        region = Pointer()
        result = client.net.reg_mr_dma_buf(comm, memory, SIZE, CUDA, 0, descriptor, region)
        assert result != 0 and not region, "a DMA-BUF was registered"
    client.exchange()
    client.close()
    print("refused, and went on")


main(sys.argv[1])
