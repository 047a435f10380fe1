"""Files and folders that a document names are there, and the house of docs/architecture.md has every folder."""
import fnmatch
import os
import re

HOUSE = "docs/architecture.md"
# A path may be told from the root, from plugin/, from the document's folder, or as the name of a file alone.
ENDINGS = r"\.(?:cc|h|py|sh|md|txt|map|cmake|json)"
# What operators write, what a build leaves, and a source of NCCL's.
OTHERS = {"fabric.json", "agent.json", "other.json", "rank.sh", "proxy.cc"}
TOP = ("plugin/", "include/", "test/", "tools/", "docs/", "docker/")


def _named(text):
    """Words that are meant as paths of this tree."""
    for word in re.split(r"[\s,;()\"'=]+", text):
        word = word.rstrip(".:")
        if word.startswith(("/", "$", "build/", "~", "http")) or word in OTHERS:
            continue
        if word.startswith(TOP) or re.fullmatch(rf"[\w.*/-]+{ENDINGS}", word):
            yield word


def _exists(tree, page, word):
    for base in ("", "plugin/", os.path.dirname(page.path) + "/", "test/"):
        path = os.path.normpath(base + word)
        if path in tree.files or path in tree.folders or fnmatch.filter(tree.files, path):
            return True
    return "/" not in word and bool(fnmatch.filter(tree.files, "*/" + word))


def _folders_of_the_house(tree, page):
    """The folders that its block names: at the line's start, or indented below the one before."""
    named, above = set(), ""
    for number, _, lines in page.blocks:
        for offset, line in enumerate(lines, 1):
            folder = re.match(r"( *)((?:[a-z]+/)+)(?=\s)", line)
            if not folder:
                continue
            path = folder[2] if not folder[1] else above + folder[2]
            above = above if folder[1] else folder[2]
            named.add(path.rstrip("/"))
            if path.rstrip("/") not in tree.folders:
                yield None, f"{page.where(number + offset)}: there is no folder {path}"
    yield named, None


def check(tree):
    for page in tree.present():
        words = [(line, span) for line, span in page.spans()]
        words += [(number + i, line) for number, _, lines in page.blocks for i, line in enumerate(lines, 1)]
        for number, text in words:
            for word in _named(text):
                if not _exists(tree, page, word):
                    yield f"{page.where(number)}: there is no {word}"
    named = set()
    for folders, complaint in _folders_of_the_house(tree, tree.document(HOUSE)):
        named |= folders or set()
        if complaint:
            yield complaint
    for folder in sorted(tree.folders):
        if re.fullmatch(r"(plugin|include|tools)/\w+(/\w+)?", folder) and folder not in named:
            yield f"{HOUSE}: the house does not name {folder}/"
