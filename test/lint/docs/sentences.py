"""docs/troubleshooting.md quotes sentences as the code says them, and has each refusal that there is.

A quoted sentence is what stands between backticks in the first column of a table headed "sentence"; <...> is what the
code fills in. What is left has to be found among the string literals of the product.
"""
import re

PAGE = "docs/troubleshooting.md"
SETUP = "include/relay/setup.h"
LITERAL = r'"((?:[^"\\\n]|\\.)*)"'
# A piece between two gaps may come from a few literals, where code puts a constant between them.
LEAST_PIECE, LEAST_LITERAL = 4, 12


def literals(text):
    """Of C++ source; neighbours are one, and what printf or fmt fills in is a gap."""
    for whole in re.finditer(rf"{LITERAL}(?:\s*{LITERAL})*", text):
        sentence = "".join(re.findall(LITERAL, whole[0])).replace('\\"', '"').replace("\\n", "\n")
        yield from re.split(r"%(?:[-+ #0]*\d*(?:\.\d+)?[hlzjt]*[a-zA-Z])|\{[^{}]*\}", sentence)


def quoted(page):
    """(line, sentence)"""
    inside = False
    for number, line in page.prose:
        cells = line.split(" | ")
        inside = line.startswith("|") and (inside or cells[0] == "| sentence")
        if inside:
            for span in re.finditer(r"(`+)(.+?)\1(?!`)", cells[0]):
                yield number, span[2].strip()


def _said(piece, corpus, literals_left=3):
    """True when the piece is made of at most so many literals, which meet at a space or before a colon."""
    if piece in corpus:
        return True
    cuts = [at.start() for at in re.finditer(" |(?=[:;,] )", piece)] if literals_left > 1 else []
    parts = [(piece[:at], piece[at:].strip()) for at in reversed(cuts)]
    return any(head in corpus and min(len(head), len(rest)) >= LEAST_PIECE and _said(rest, corpus, literals_left - 1)
               for head, rest in parts)


def _check_quotes(page, corpus):
    for number, sentence in quoted(page):
        for piece in re.split(r"<[^<>]*>", sentence):
            piece = piece.strip(" ():;,")
            if len(piece) >= LEAST_PIECE and not _said(piece, corpus):
                yield f"{page.where(number)}: no source says \"{piece}\""


def _refusals(text):
    """(code, literals) of every place that makes one."""
    for use in re.finditer(r"RefusedCode::(k\w+),", text):
        rest = text[use.end():]
        statement = re.match(r'(?:[^";]|"(?:[^"\\]|\\.)*")*', rest)[0]
        yield use[1], [piece for piece in literals(statement) if len(piece.strip()) >= LEAST_LITERAL]


def _check_refusals(tree, page):
    enum = re.search(r"enum class RefusedCode.*?\};", tree.read(SETUP), re.S)[0]
    codes = set(re.findall(r"^  (k\w+) = \d+,", enum, re.M))
    named = set(re.findall(r"`(k[A-Z]\w+)`", page.text))
    for code in sorted(codes - named):
        yield f"{page.path}: the refusal {code} has no entry"
    whole = "\n".join(sentence for _, sentence in quoted(page))
    for path in tree.sources("plugin/"):
        for code, pieces in _refusals(tree.read(path)):
            if pieces and not any(piece.strip() in whole for piece in pieces):
                yield f"{page.path}: {code} of {path} has no entry: \"{pieces[0].strip()}\""


def check(tree):
    page = tree.document(PAGE)
    corpus = "\x00".join(piece for path in tree.sources("plugin/", "include/", "tools/")
                         for piece in literals(tree.read(path)))
    yield from _check_quotes(page, corpus)
    yield from _check_refusals(tree, page)
