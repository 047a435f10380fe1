"""What the guest's kernel says, and whether it complains."""
import os
import re

# Not among them: RCU stalls, which an emulated machine has whenever the real one gives it no time.
COMPLAINT = re.compile(r"BUG:|Oops|WARNING: |general protection|KASAN|possible circular locking|blocked for more than|"
                       r"unregister_netdevice: waiting")
LARGEST_RECORD = 8192


class KernelLog:
    def __init__(self, copy):
        """Everything is copied to the file `copy`."""
        self._records = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._copy = open(copy, "a", encoding="utf-8")

    def complaints(self):
        """Those since the last call."""
        found = []
        while True:
            try:
                record = os.read(self._records, LARGEST_RECORD).decode(errors="replace")
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # records were overwritten before they were read; go on with the oldest that is left
            header, _, text = record.partition(";")
            line = text.split("\n", 1)[0]
            self._copy.write(f"{header.split(',')[2]} {line}\n")
            if COMPLAINT.search(line):
                found.append(line)
        self._copy.flush()
        return found
