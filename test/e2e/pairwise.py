"""A small choice from a large product of cases in which every two values of any two factors meet at least once."""
import itertools


def pairs_of(row):
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def product(factors, allowed=lambda row: True):
    """Every allowed row: one value for each factor."""
    rows = (dict(zip(factors, values)) for values in itertools.product(*factors.values()))
    return [row for row in rows if allowed(row)]


def pairwise(factors, allowed=lambda row: True):
    """Allowed rows that cover every pair that any allowed row has; the same choice every time."""
    rows = product(factors, allowed)
    news = [pairs_of(row) for row in rows]
    uncovered = set().union(*news)
    chosen = []
    while uncovered:
        best = max(range(len(rows)), key=lambda i: len(news[i] & uncovered))  # the first of equals
        chosen.append(rows[best])
        uncovered -= news[best]
        news = [new & uncovered for new in news]
    return chosen
