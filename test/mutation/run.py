#!/usr/bin/env python3
"""Breaks the product on purpose and asks whether the tests notice.

Each mutant is one replacement in a copy of the tree. It is caught when at least one named test fails; a mutant that
lives is a hole in the tests, and this program then fails. usage: run.py [--only NAME] [--e2e]
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclass
class Mutant:
    name: str
    file: str
    old: str
    new: str


MUTANTS = [
    Mutant("the splice sends bytes back where they came from", "plugin/agent/relay/relayed_circuit.cc",
           "splice(flow.pipe.read.get(), nullptr, flow.to, nullptr", "splice(flow.pipe.read.get(), nullptr, flow.from, nullptr"),
    Mutant("the splice forgets what is left in the pipe", "plugin/agent/relay/relayed_circuit.cc",
           "flow.held -= static_cast<size_t>(n);", "flow.held = 0;"),
    Mutant("no acknowledgement is sent alone", "plugin/stream/frame_receiver.cc",
           "if (acknowledged_ != placed &&", "if (acknowledged_ > placed &&"),
    Mutant("a send is done when it is with the kernel", "plugin/stream/frame_receiver.cc",
           "if (acknowledged_ != placed && circuit.QueueControl({.type = FrameType::kAck, .message = placed}))",
           "if (circuit.QueueControl({.type = FrameType::kAck, .message = requests_.posted()}))"),
    Mutant("what comes twice is placed twice", "plugin/stream/receipts.h",
           "if (header.message < held_) return Verdict::kDuplicate;",
           "if (header.message < held_) return Verdict::kTake;"),
    Mutant("segments that come twice are placed twice", "plugin/stream/inbox.cc",
           "if (*verdict == Receipts::Verdict::kDuplicate) {", "if (false) {"),
    Mutant("the old lane is not fenced", "plugin/stream/lane_receiver.cc", "const Status fenced = lane().Fence();",
           "const Status fenced;"),
    Mutant("a fence leaves the queue pairs as they are", "plugin/transport/rdma/fence.cc",
           "for (QueuePair* queue_pair : queue_pairs) queue_pair->Stop();", ""),
    Mutant("a fence forgets what the old lane has brought", "plugin/transport/rdma/fence.cc",
           "Keep(out, take(i, completions[j]));", "(void)take;"),
    Mutant("RESUME is not believed", "plugin/stream/send_ledger.h", "done_ = sending_ = held;", "sending_ = done_;"),
    Mutant("RESUME tells of one message more", "plugin/stream/receipts.h", ".message = held_, .offset",
           ".message = held_ + 1, .offset"),
    Mutant("nothing is replayed from its middle", "plugin/stream/send_ledger.h", "offset_ = resume.offset;", "offset_ = 0;"),
    Mutant("a circuit that breaks is the end", "plugin/stream/stream.cc",
           "if (!recovers_ || outage_.exhausted()) return false;", "if (recovers_) return false;"),
    Mutant("a remnant owes nothing", "plugin/stream/recv_stream.h",
           "bool OwesAnswer() const override { return true; }", "bool OwesAnswer() const override { return false; }"),
    Mutant("DATA does not wait for its CTS", "plugin/stream/send_window.h",
           "return HasCts(message) || IsEager(message, size);", "return message + size + 1 != 0;"),
    Mutant("a relay takes the route one link too far", "plugin/agent/setup/incoming.cc", "++onward.hop;", "onward.hop += 2;"),
    Mutant("a relay believes any source route", "plugin/agent/setup/route_check.cc",
           "if (!IsPath(node, open)) return", "if (false && !IsPath(node, open)) return"),
    Mutant("a hop may come from anywhere", "plugin/agent/setup/route_check.cc",
           "if (!CameOver(node, hop, arrival)) {", "if (false && !CameOver(node, hop, arrival)) {"),
    Mutant("any circuit's answer opens this one", "plugin/agent/setup/hop_dialer.cc",
           "opened && opened->name == open_.name", "opened"),
    Mutant("a token finds whoever registered first", "plugin/agent/clients/token_registry.cc",
           "if (auto it = owners_.find(token); it != owners_.end()) return", "if (auto it = owners_.begin(); it != owners_.end()) return"),
    Mutant("closing leaves no remnant", "plugin/stream/stream.cc", ".finished = closing_.closed() && !circuit_ && !lost",
           ".finished = closing_.closed()"),
    Mutant("deregMr takes no lock", "plugin/stream/stream.cc",
           "void Stream::CancelRegion(const void* region) {\n  const Turn turn(mutex_);",
           "void Stream::CancelRegion(const void* region) {"),
    Mutant("deregMr leaves requests alone", "plugin/comm/comm.cc", "stream_->CancelRegion(region);", ""),
    Mutant("flags may land before their data", "plugin/stream/inbox.cc",
           "way_ = !eager && InOrder(request, header.total) ? Way::kBounce : Way::kStraight;", "way_ = Way::kStraight;"),
]


def run(command, cwd, deadline=1200):
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=deadline)


def failed_units(tree, build):
    out = run(["ctest", "--test-dir", str(build), "-j2", "--timeout", "60", "-E", r"^(lab|nccl\.|unit_tools)"], tree).stdout
    return re.findall(r"^\s*\d+ - (\S+) \((?:Failed|Timeout|SEGFAULT|Subprocess aborted|.*Exception.*)\)", out, re.M)


def failed_e2e(tree, build):
    chosen = "closing_edge or after_its_registration or (every_collective and chain and lan and Simple)"
    tests = ["test/e2e/test_collectives.py", "test/e2e/test_guest.py", "-q", "-k", chosen, f"--build={build}"]
    out = run(["/usr/bin/python3", "-m", "pytest", *tests], tree).stdout
    return re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", out, re.M)


def try_mutant(tree, build, mutant, e2e):
    path = tree / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return None, [f"its place in {mutant.file} is gone: mend the mutant"]
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        built = run(["cmake", "--build", str(build), "-j2"], tree)
        if built.returncode != 0:
            return None, ["it does not compile: " + built.stdout[-2000:]]
        caught = failed_units(tree, build)
        if e2e or not caught:
            caught += failed_e2e(tree, build)
        return bool(caught), caught
    finally:
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="part of a mutant's name")
    parser.add_argument("--e2e", action="store_true", help="the real NCCL too, also where a unit test caught it")
    args = parser.parse_args()
    tree, build = ROOT / "build/mutation/tree", ROOT / "build/mutation/build"
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    run(["git", "clone", "-q", str(ROOT), str(tree)], ROOT)
    run(["cmake", "-S", str(tree), "-B", str(build), "-G", "Ninja", "-DCMAKE_CXX_FLAGS=-O1",
         f"-DNCCL_WHEEL_DIR={ROOT / 'build/nccl'}"], tree)
    run(["cmake", "--build", str(build), "-j2"], tree, 1800)
    if healthy := failed_units(tree, build):
        print("these fail without any mutant:", ", ".join(healthy))
        return 1
    living = 0
    for mutant in MUTANTS:
        if args.only and args.only not in mutant.name:
            continue
        caught, by = try_mutant(tree, build, mutant, args.e2e)
        living += not caught
        print(f"{'caught' if caught else 'LIVES '}  {mutant.name}\n        {', '.join(by[:8]) or 'no test failed'}", flush=True)
    print(f"{len(MUTANTS)} mutants, {living} live")
    return living != 0


if __name__ == "__main__":
    sys.exit(main())
