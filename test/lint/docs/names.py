"""Knobs, counters, metrics, make targets and identifiers: what a document names exists, and what exists is named."""
import re

# What is ours or of others, and stands in no source as the word that it is.
OTHERS = {"cap_add", "ibv_query_gid_table", "unit_fabric"}
COUNTERS_PAGE = "docs/operating.md"


def knobs(tree):
    return set(re.findall(r"^\| `(NCCL_RELAY_\w+)`", tree.run("knobs"), re.M))


def counters(tree):
    return re.findall(r"^  C\((\w+),", tree.read("include/relay/counters.h"), re.M)


def metrics(tree):
    text = tree.read("tools/metrics/families.cc")
    names = re.findall(r'(?:Add|One)\(\s*"(\w+)"|\{"(port_\w+)", "|"nccl_relay_(\w+)"', text)
    return {"nccl_relay_" + "".join(name) for name in names if any(name) and "".join(name)} - {"nccl_relay_"}


def _check_knobs(tree):
    known = knobs(tree)
    named = set()
    for page in tree.present():
        for number, line in enumerate(page.text.splitlines(), 1):
            for name in re.findall(r"NCCL_RELAY_\w+", line):
                named |= {name} if page.path != "docs/knobs.md" else set()
                if name not in known:
                    yield f"{page.where(number)}: there is no {name}"
    for name in sorted(known - named):
        yield f"docs/: {name} is named in no page but the table of all"


def _check_metrics(tree):
    own = metrics(tree)
    of_counters = {f"nccl_relay_{name}_total" for name in counters(tree)}
    page = tree.document(COUNTERS_PAGE)
    for path in (page.path, "docs/grafana.json"):
        for name in sorted(set(re.findall(r"nccl_relay_[a-z_]*[a-z]", tree.read(path)))):
            if name not in own | of_counters:
                yield f"{path}: there is no metric {name}"
    for name in sorted(own):
        if not re.search(rf"\b{name}\b", page.text):
            yield f"{page.path}: the metric {name} is not told of"
    for name in counters(tree):
        if f"`{name}`" not in page.text:
            yield f"{page.path}: the counter {name} is not told of"


def _check_targets(tree):
    makefile = tree.read("Makefile")
    targets = set(re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", makefile, re.M)[1].replace("\\\n", " ").split()) - {"all"}
    told = tree.read("README.md") + tree.read("CONTRIBUTING.md")
    for name in sorted(targets):
        if not re.search(rf"\bmake {name}(?![\w-])", told):
            yield f"CONTRIBUTING.md: make {name} is not told of"
    for page in tree.present():
        blocks = [(number + i, line) for number, _, lines in page.blocks for i, line in enumerate(lines, 1)]
        for number, text in [*page.spans(), *blocks]:
            for name in re.findall(r"^make ([a-z][\w-]*)", text.strip()):
                if name not in targets:
                    yield f"{page.where(number)}: there is no make {name}"


def _words(tree):
    """Every word of the sources."""
    endings = (".cc", ".h", ".py", ".sh", ".txt", ".in", ".map", ".cu", ".json", "Makefile", "Dockerfile")
    text = "\n".join(tree.read(path) for path in sorted(tree.files)
                     if path.endswith(endings) and not path.startswith(("docs/", "test/fuzz/corpus", "test/lint/")))
    return set(re.findall(r"\w+", text))


def _identifiers(span):
    """Names of functions, types, constants and keys: Stream::Post, kNoPath, relayed_bytes."""
    for name in re.findall(r"(?<![\w/.-])[A-Za-z]\w*(?:::\w+)+", span):
        yield from name.split("::")
    yield from re.findall(r"(?<![\w/.$-])k[A-Z]\w+", span)
    yield from re.findall(r"(?<![\w/.$-])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?![\w/.*-]|\()", span)


def _check_identifiers(tree):
    known = _words(tree) | OTHERS | metrics(tree) | {f"nccl_relay_{name}_total" for name in counters(tree)}
    for page in tree.present():
        for line, span in page.spans():
            for name in _identifiers(span):
                if name not in known:
                    yield f"{page.where(line)}: no source has {name}"


def check(tree):
    yield from _check_knobs(tree)
    yield from _check_metrics(tree)
    yield from _check_targets(tree)
    yield from _check_identifiers(tree)
