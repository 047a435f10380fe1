#!/usr/bin/env python3
"""Fails when a file includes a module its own module may not use.

The table is the relay_module() lines of plugin/CMakeLists.txt: what a module links is what it may include.
Besides: only plugin/nccl and plugin/comm see <nccl/...>, only transport/rdma sees verbs, only base/cuda sees libcuda.
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
cmake = (root / "plugin/CMakeLists.txt").read_text()
may_use = {m: set(uses.split()) for m, uses in re.findall(r"relay_module\((\w+) SOURCES \S+(?: USES ([\w ]+))?\)", cmake)}
may_use["nccl"] = {"comm", "stream", "base"}  # the shared object itself; its main() is the agent's
bad = []


def check_include(path, number, line, module):
    where = f"{path}:{number}"
    if m := re.match(r'\s*#include "([a-z_]+)/', line):
        used = m[1]
        if used in may_use and used != module and used not in may_use[module]:
            bad.append(f"{where}: {module} may not use {used}")
        if used == "nccl" and module not in ("nccl", "comm"):
            bad.append(f"{where}: only plugin/nccl and plugin/comm see NCCL's interface")
    if "<infiniband/" in line and "transport/rdma" not in str(path):
        bad.append(f"{where}: only transport/rdma sees verbs")
    if re.search(r"<cuda\w*\.h>", line) and "base/cuda" not in str(path):
        bad.append(f"{where}: only base/cuda speaks to libcuda")
    if re.search(r"<(iostream|regex|locale|filesystem|fstream|sstream)>", line):
        bad.append(f"{where}: a guest in somebody's process does without {line.strip()}")


for path in sorted((root / "plugin").rglob("*")):
    if path.suffix not in (".h", ".cc"):
        continue
    module = path.relative_to(root / "plugin").parts[0]
    if module not in may_use:
        bad.append(f"{path}: module {module} is not in plugin/CMakeLists.txt")
        continue
    for number, line in enumerate(path.read_text().splitlines(), 1):
        check_include(path, number, line, module)

for path in sorted((root / "include/relay").rglob("*.h")):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if m := re.match(r'\s*#include "([a-z_]+)/', line):
            if m[1] not in ("relay", "base"):
                bad.append(f"{path}:{number}: a contract includes contracts and base, not {m[1]}")

print("\n".join(bad) or f"layers hold: {len(may_use)} modules")
sys.exit(bool(bad))
