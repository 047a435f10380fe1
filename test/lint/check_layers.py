#!/usr/bin/env python3
"""Fails when a file includes what its module or its room may not use, or when two folders use each other.

The tables are plugin/CMakeLists.txt: what a module links (relay_module) is what it may include, and a room of a module
(relay_room) may include the rooms that it names. What is in no room may use every room but those that use it.
Besides: only plugin/nccl and plugin/comm see <nccl/...>, only transport/rdma sees verbs, only base/cuda sees libcuda.
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
cmake = (root / "plugin/CMakeLists.txt").read_text()
may_use = {m: set(uses.split()) for m, uses in re.findall(r"relay_module\((\w+) SOURCES \S+(?: USES ([\w ]+))?\)", cmake)}
may_use["nccl"] = {"comm", "stream", "base"}  # the shared object itself; its main() is the agent's
rooms = {}  # module -> room -> rooms of the same module; "." is what is in none
for module, room, uses in re.findall(r"relay_room\((\w+) (\w+)(?: USES ([\w .]+))?\)", cmake):
    rooms.setdefault(module, {})[room] = set(uses.split())
bad = []


def room_of(path):
    """agent/setup/incoming.h -> agent, setup; agent/agent.h -> agent, ."""
    parts = path.split("/")
    return parts[0], parts[1] if len(parts) > 2 else "."


def check_rooms(where, module, room, used):
    if used == room or module not in rooms:
        return
    if room == ".":
        allowed = "." not in rooms[module].get(used, ())
    else:
        allowed = used in rooms[module][room]
    if not allowed:
        bad.append(f"{where}: {module}/{room} may not use {module}/{used}")


def check_include(path, number, line, module, room):
    where = f"{path}:{number}"
    if m := re.match(r'\s*#include "([a-z_]+)/', line):
        used = m[1]
        if used in may_use and used != module and used not in may_use[module]:
            bad.append(f"{where}: {module} may not use {used}")
        if used == "nccl" and module not in ("nccl", "comm"):
            bad.append(f"{where}: only plugin/nccl and plugin/comm see NCCL's interface")
        if used == module:
            check_rooms(where, module, room, room_of(line.split('"')[1])[1])
    if "<infiniband/" in line and "transport/rdma" not in str(path):
        bad.append(f"{where}: only transport/rdma sees verbs")
    if re.search(r"<cuda\w*\.h>", line) and "base/cuda" not in str(path):
        bad.append(f"{where}: only base/cuda speaks to libcuda")
    if re.search(r"<(iostream|regex|locale|filesystem|fstream|sstream)>", line):
        bad.append(f"{where}: a guest in somebody's process does without {line.strip()}")


def check_plugin():
    for path in sorted((root / "plugin").rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        module, room = room_of(str(path.relative_to(root / "plugin")))
        if module not in may_use:
            bad.append(f"{path}: module {module} is not in plugin/CMakeLists.txt")
            continue
        if room != "." and room not in rooms.get(module, ()):
            bad.append(f"{path}: room {module}/{room} is not in plugin/CMakeLists.txt")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            check_include(path, number, line, module, room)


def check_contracts():
    for path in sorted((root / "include/relay").rglob("*.h")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if m := re.match(r'\s*#include "([a-z_]+)/', line):
                if m[1] not in ("relay", "base"):
                    bad.append(f"{path}:{number}: a contract includes contracts and base, not {m[1]}")


def folder_uses(top):
    """folder -> the folders beneath `top` that its files include."""
    uses = {}
    for path in sorted((root / top).rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        own = str(path.parent.relative_to(root / top))
        for include in re.findall(r'#include "([^"]+)"', path.read_text()):
            if (root / top / include).exists():
                used = str(pathlib.Path(include).parent)
                if used != own:
                    uses.setdefault(own, set()).add(used)
    return uses


def check_cycles(top):
    uses = folder_uses(top)
    done = set()

    def visit(folder, way):
        if folder in way:
            bad.append(f"{top}: folders in a circle: {' -> '.join(way[way.index(folder):] + [folder])}")
            return
        if folder in done:
            return
        for used in sorted(uses.get(folder, ())):
            visit(used, way + [folder])
        done.add(folder)

    for folder in sorted(uses):
        visit(folder, [])


check_plugin()
check_contracts()
for top in ("plugin", "tools"):
    check_cycles(top)
print("\n".join(bad) or f"layers hold: {len(may_use)} modules, {sum(map(len, rooms.values()))} rooms, no circle")
sys.exit(bool(bad))
