#!/usr/bin/env python3
"""Breaks documents and sources on purpose, in memory: each question of check_docs.py must complain, and only then.

usage: check_docs_test.py [ROOT [BUILD]]
"""
import sys

from docs import links, names, notices, paths, program, sentences, versions, walk, wire
from docs.tree import Tree

# question, file, what stands there, what is put in its place, what the complaint must say
BROKEN = [
    (walk, "docs/architecture.md", "`Comm::Post`", "`Stream::Post`", "does not define Stream::Post"),
    (walk, "docs/architecture.md", "`plugin/comm/comm.cc` |", "`plugin/comm/none.cc` |",
     "there is no plugin/comm/none.cc"),
    (walk, "plugin/comm/comm.cc", "Comm::Post(", "Comm::Posted(", "does not define Comm::Post"),
    (links, "README.md", "](docs/lab.md)", "](docs/laboratory.md)", "leads nowhere"),
    (links, "docs/README.md", "(nccl-abi.md)", "(lab.md)", "docs/nccl-abi.md is not linked"),
    (links, "docs/troubleshooting.md", "(#no-sentence)", "(#no-sentences)", "no heading for #no-sentences"),
    (paths, "docs/recovery.md", "`plugin/stream/send_ledger.h`", "`plugin/stream/ledger.h`",
     "there is no plugin/stream/ledger.h"),
    (paths, "docs/architecture.md", "  setup/ ", "  set-up/ ", "does not name plugin/agent/setup/"),
    (program, "docs/perf.md", "| `--late` |", "| |", "--late of nccl-relay perf is not told of"),
    (program, "docs/lab.md", "`--sysctl net", "`--sysctls net", "nothing here knows --sysctls"),
    (program, "docs/lab.md", "--discover", "", "--discover of nccl-relay lab run is not told of"),
    (program, "docs/operating.md", "nccl-relay top --count 1", "nccl-relay top --rounds 1",
     "nccl-relay top has no --rounds"),
    (program, "docs/operating.md", "nccl-relay explain", "nccl-relay describe", "nccl-relay has no describe"),
    (names, "docs/containers.md", "`NCCL_RELAY_LINGER`", "`NCCL_RELAY_LINGERS`", "there is no NCCL_RELAY_LINGERS"),
    (names, "docs/perf.md", "`NCCL_RELAY_EAGER`", "it", "NCCL_RELAY_EAGER is named in no page"),
    (names, "docs/operating.md", "`splice_calls`", "`splices`", "the counter splice_calls is not told of"),
    (names, "docs/operating.md", "`nccl_relay_tokens`", "`nccl_relay_tokens_held`",
     "there is no metric nccl_relay_tokens_held"),
    (names, "docs/operating.md", "`nccl_relay_tokens`", "", "the metric nccl_relay_tokens is not told of"),
    (names, "docs/recovery.md", "`kOwnerLives`", "`kOwnerThere`", "no source has kOwnerThere"),
    (names, "docs/operating.md", "`half_open`", "`half_opened`", "no source has half_opened"),
    (names, "CONTRIBUTING.md", "`make mutants`", "`make mutations`", "make mutants is not told of"),
    (sentences, "docs/troubleshooting.md", "did not prove in time", "did not prove on time", "no source says"),
    (sentences, "docs/troubleshooting.md", "`kDraining`", "", "the refusal kDraining has no entry"),
    (sentences, "plugin/agent/setup/outgoing.cc", " answers an inquiry with a circuit", " answers with a circuit",
     "no entry"),
    (versions, "CMakeLists.txt", "nccl_relay VERSION ", "nccl_relay VERSION 9", "is not the version"),
    (versions, "include/relay/setup.h", '"0.1.0"', '"0.0.9"', "is not the version"),
    (versions, "CHANGELOG.md", "| `kSetupVersion`", "| `kSetVersion`", "kSetupVersion is not told of"),
    (wire, "docs/wire.md", "`plugin/comm/handle.h`", "`plugin/comm/grip.h`", "there is no plugin/comm/grip.h"),
    (wire, "docs/wire.md", "`SealHello`", "`SignHello`", "no header of it has SignHello"),
    (wire, "docs/wire.md", "`DecodeHello`", "it", "DecodeHello of plugin/agent/discovery/hello.h belongs to no format"),
    (wire, "docs/wire.md", "`kPacketVersion` ", "`kPacketVersion` 9", "kPacketVersion is not 9"),
    (wire, "docs/wire.md", "`Handle.BytesAreFrozen`", "`Handle.BytesHold`", "has no Handle.BytesHold"),
    (wire, "test/unit/circuit/frame_test.cc", "HeaderBytesAreFrozen", "HeaderBytes", "has no Frame.HeaderBytesAreFrozen"),
    (wire, "plugin/fabric/record.h", "EncodeRecord(", "EncodeRow(", "EncodeRow of plugin/fabric/record.h"),
    (wire, "include/relay/frame.h", "kResume = 4", "kResume = 7", 'has no row "| 7 | RESUME |"'),
    (wire, "include/relay/setup.h", "kPong = 10", "kPong = 13", 'has no row "| 13 | PONG |"'),
    (wire, "include/relay/control.h", "LinkLost, BetterPath>", "BetterPath, LinkLost>", 'has no row "| 16 | BetterPath |"'),
    (notices, "NOTICE", "<fmt/", "<format/", "<fmt/format.h> is included by"),
]


def main():
    tree = Tree(*(sys.argv[1:] + [".", "build/release"][len(sys.argv) - 1:])[:2])
    missed = []
    for question, path, old, new, complaint in BROKEN:
        text = tree.read(path)
        if old not in text:
            missed.append(f"{path} has no {old!r} to break")
            continue
        tree.changed = {path: text.replace(old, new)}
        if not any(complaint in said for said in question.check(tree)):
            missed.append(f"{path}: {old!r} as {new!r} is not noticed by {question.__name__}")
        tree.changed = {}
    print("\n".join(missed) or f"the questions notice: {len(BROKEN)} documents and sources broken on purpose")
    return bool(missed)


sys.exit(main())
