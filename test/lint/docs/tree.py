"""The tree: its files, its documents, and the program that was built from it."""
import functools
import pathlib
import re
import subprocess

# Documents tell of today. Results tell of the day that they were measured on.
DATED = "docs/results/"


class Document:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.prose, self.blocks = _split(text)

    def spans(self):
        """(line, text) of what stands between backticks."""
        flat = "\n".join(line for _, line in self.prose)
        numbers = [number for number, _ in self.prose]
        for span in re.finditer(r"(`+)(.+?)\1", flat, re.S):
            yield numbers[flat.count("\n", 0, span.start())], " ".join(span[2].split())

    def where(self, line):
        return f"{self.path}:{line}"


def _split(text):
    """Prose as (line, text), and blocks as (line, language, lines)."""
    prose, blocks, block = [], [], None
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"\s*```(\w*)", line)
        if fence and block is None:
            block = (number, fence[1], [])
        elif fence:
            blocks.append(block)
            block = None
        elif block is not None:
            block[2].append(line)
        else:
            prose.append((number, line))
    return prose, blocks


class Tree:
    def __init__(self, root, build):
        self.root, self.build = pathlib.Path(root), pathlib.Path(build)
        listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=self.root,
                                capture_output=True, text=True, check=True).stdout.split("\n")
        self.files = {path for path in listed if path and (self.root / path).is_file()}
        self.folders = {str(parent) for path in self.files for parent in pathlib.PurePath(path).parents}
        self.changed = {}

    @property
    def pages(self):
        return [self.document(path) for path in sorted(self.files)
                if re.fullmatch(r"[A-Z]+\.md|(docs|test)/.*\.md", path)]

    def document(self, path):
        return Document(path, self.read(path))

    def read(self, path):
        return self.changed[path] if path in self.changed else self._read(path)

    @functools.cache
    def _read(self, path):
        return (self.root / path).read_text(errors="replace")

    def present(self):
        """The documents that tell of today."""
        return [page for page in self.pages if not page.path.startswith(DATED) and page.path != "CHANGELOG.md"]

    def sources(self, *folders, endings=(".cc", ".h")):
        return [path for path in sorted(self.files) if path.startswith(folders) and path.endswith(endings)]

    @functools.cache
    def run(self, *arguments):
        return subprocess.run([self.build / "nccl-relay", *arguments], capture_output=True, text=True, timeout=60,
                              check=True).stdout
