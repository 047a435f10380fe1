"""A small choice from a large product of cases in which every two values of any two factors meet at least once."""
import functools
import itertools
import os
import pathlib
import random
import subprocess


def pairs_of(row):
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def product(factors, allowed=lambda row: True):
    """Every allowed row: one value for each factor."""
    rows = (dict(zip(factors, values)) for values in itertools.product(*factors.values()))
    return [row for row in rows if allowed(row)]


@functools.cache
def seed():
    """Chooses among equally good choices: RELAY_TEST_SEED, else the commit, so that over time every case has its turn."""
    if given := os.environ.get("RELAY_TEST_SEED"):
        return given
    here = pathlib.Path(__file__).resolve().parent
    done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=here, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "0"


def pairwise(factors, allowed=lambda row: True):
    """Allowed rows that cover every pair that any allowed row has; the same choice for the same seed."""
    rows = product(factors, allowed)
    random.Random(seed()).shuffle(rows)
    news = [pairs_of(row) for row in rows]
    uncovered = set().union(*news)
    chosen = []
    while uncovered:
        best = max(range(len(rows)), key=lambda i: len(news[i] & uncovered))  # the first of equals
        chosen.append(rows[best])
        uncovered -= news[best]
        news = [new & uncovered for new in news]
    return chosen
