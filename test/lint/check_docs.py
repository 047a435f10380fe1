#!/usr/bin/env python3
"""Fails when a document names what is not there, or when what is there is named nowhere.

usage: check_docs.py [ROOT [BUILD]]     BUILD has the nccl-relay that is asked for its commands, options and knobs
"""
import sys

from docs import links, names, notices, paths, program, sentences, versions, walk, wire
from docs.tree import Tree

root, build = (sys.argv[1:] + [".", "build/release"][len(sys.argv) - 1:])[:2]
tree = Tree(root, build)
questions = [walk, links, paths, program, names, sentences, versions, notices, wire]
bad = [complaint for question in questions for complaint in question.check(tree)]
print("\n".join(dict.fromkeys(bad)) or f"docs hold: {len(tree.pages)} pages, {len(questions)} questions")
sys.exit(bool(bad))
