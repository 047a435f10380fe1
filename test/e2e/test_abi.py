"""NCCL's own idea of its plugin interfaces, from the debug information of the real library, against include/nccl."""
import re
import subprocess

import pytest

from conftest import ROOT

pytestmark = pytest.mark.nccl

NET = range(6, 13)
TUNER = range(2, 7)
TYPES = ([f"ncclNet_v{v}_t" for v in NET] + [f"ncclNetProperties_v{v}_t" for v in NET] +
         [f"ncclNetVDeviceProps_v{v}_t" for v in range(9, 13)] + [f"ncclNetCommConfig_v{v}_t" for v in range(10, 13)] +
         [f"ncclNetCommAttr_v{v}_t" for v in (11, 12)] + [f"ncclNetAttr_v{v}_t" for v in (11, 12)] +
         ["ncclNetDeviceHandle_t"] + [f"ncclTuner_v{v}_t" for v in TUNER] +
         [f"ncclNvlDomainInfo_v{v}_t" for v in (5, 6)] + [f"ncclTunerConstants_v{v}_t" for v in (5, 6)])
OURS_ONLY = {"ncclNetDeviceHandle_t": "ncclNetDeviceHandle_v11_t"}  # one layout, which NCCL names once per version


def layouts(library, names):
    """For each type that gdb knows: its fields' offsets, sizes, types and names, one line each."""
    commands = [word for name in names for word in ("-ex", f"echo === {name}\\n", "-ex", f"ptype /o {name}")]
    done = subprocess.run(["gdb", "-nx", "-batch", *commands, str(library)], capture_output=True, text=True, timeout=120)
    found = {}
    for block in done.stdout.split("=== ")[1:]:
        name, _, text = block.partition("\n")
        lines = [normal(line) for line in text.splitlines() if re.match(r"/\*\s+\d+\s+\|", line)]
        total = re.search(r"total size \(bytes\):\s+(\d+)", text)
        if lines and total:
            found[name] = [*lines, f"total {total[1]}"]
    return found


def normal(line):
    """Without what only names differ in: typedefs per version of one type, enums that are ints on the wire."""
    line = re.sub(r"_v\d+_t\b", "_t", " ".join(line.split()))
    line = re.sub(r"\bncclNetDeviceType\b", "int", line)
    line = re.sub(r"\bstruct \w+ (?=\{)", "struct ", line)
    return line.replace("/* offset | size */ ", "")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("abi")
    headers = sorted((ROOT / "include/nccl").glob("*_v*.h"))
    source = folder / "abi.cc"
    source.write_text("".join(f'#include "nccl/{header.name}"\n' for header in headers) +
                      "".join(f"{name} value_{i};\n" for i, name in enumerate(TYPES)))
    library = folder / "abi.o"
    subprocess.run(["c++", "-std=c++20", "-g", "-I", ROOT / "include", "-c", source, "-o", library], check=True,
                   timeout=120)
    found = layouts(library, TYPES)
    assert sorted(found) == sorted(TYPES)
    return found


def libraries():
    return sorted((ROOT / "build").glob("nccl*/**/libnccl.so.2"))


def test_every_size_offset_and_prototype_is_that_of_the_real_library(ours):
    seen = set()
    for library in libraries():
        theirs = layouts(library, [OURS_ONLY.get(name, name) for name in TYPES])
        for name in TYPES:
            real = theirs.get(OURS_ONLY.get(name, name))
            if real is None:
                continue
            seen.add(name)
            assert ours[name] == real, f"{name} of {library}"
    # What no version with debug information knows is held by static_asserts alone.
    required = {name for name in TYPES if not re.search(r"_v12_t|ncclTuner_v6|ncclNvlDomainInfo_v6|Constants_v6", name)}
    assert not required - seen


def test_a_difference_would_be_noticed(ours, tmp_path):
    source = tmp_path / "wrong.cc"
    text = (ROOT / "include/nccl/net_v8.h").read_text().replace("int speed;\n  int port;", "int port;\n  int speed;")
    source.write_text(re.sub(r"static_assert\([^;]*;", "", text) + "ncclNetProperties_v8_t value;\n")
    library = tmp_path / "wrong.o"
    subprocess.run(["c++", "-std=c++20", "-g", "-I", ROOT / "include", "-c", source, "-o", library], check=True,
                   timeout=120)
    name = "ncclNetProperties_v8_t"
    assert layouts(library, [name])[name] != ours[name]
