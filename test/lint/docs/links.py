"""Links between documents lead somewhere, and every page is linked from the index."""
import os
import re


def _anchors(text):
    """Of the headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ +(.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _links(page):
    for number, line in page.prose:
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if not re.match(r"\w+:", target):
                yield number, target


def _resolve(page, target):
    path, _, anchor = target.partition("#")
    return os.path.normpath(os.path.join(os.path.dirname(page.path), path)) if path else page.path, anchor


def check(tree):
    indexed = set()
    for page in tree.pages:
        for number, target in _links(page):
            path, anchor = _resolve(page, target)
            if path not in tree.files and path not in tree.folders:
                yield f"{page.where(number)}: the link {target} leads nowhere"
            elif anchor and anchor not in _anchors(tree.read(path)):
                yield f"{page.where(number)}: {path} has no heading for #{anchor}"
            if page.path == "docs/README.md":
                indexed.add(path)
    for path in sorted(tree.files):
        if path.startswith("docs/") and path != "docs/README.md" and path not in indexed:
            yield f"docs/README.md: {path} is not linked"
