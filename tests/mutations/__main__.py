"""Mutation check of the evaluation rules: ``python -m tests.mutations [WORD ...]``, words that a mutant's label holds.

A measurement of our own eyes, no test: it prints what was caught and what was not, and always ends with 0.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from tabulate import tabulate

from checks.verdict import Finding
from tests.mutations.catalogue import illegal, legal
from tests.mutations.equivalent import EQUIVALENCES
from tests.mutations.mutant import Mutant
from tests.mutations.run import Judged, judge_mutant


def main(words: list[str]) -> None:
    """Judge every mutant whose label holds all the words, and print the tables."""
    chosen = [m for m in (*illegal(), *legal()) if all(word in m.label for word in words)]
    judged = [judge_mutant(mutant) for mutant in chosen]
    broken, sound = [j for j in judged if not j.mutant.legal], [j for j in judged if j.mutant.legal]
    disguised = [judge_mutant(m) for m in _disguised(j.mutant for j in broken if j.holds)]
    print(f"illegal caught {_share(broken)}, legal clean {_share(sound)}")
    print(f"failed by another rule than expected: {sum(bool(j.failing) for j in broken if not j.holds)}")
    print(f"legal and left open by a warning or an unknown: {sum(bool(j.open) for j in sound if j.holds)}")
    print(f"caught ones that stay caught when they are respelt {_share(disguised)}\n")
    print(
        tabulate(_by_base(broken, sound), ["base", "illegal caught", "legal clean"], disable_numparse=True), end="\n\n"
    )
    _list("Misses", [j for j in broken if not j.holds])
    _list("False alarms", [j for j in sound if not j.holds])
    _list("Lost when respelt", [j for j in disguised if not j.holds])


def _disguised(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Each illegal mutant under one rewriting, all rewritings in turn."""
    for number, mutant in enumerate(mutants):
        name, rewriting = list(EQUIVALENCES.items())[number % len(EQUIVALENCES)]
        yield Mutant(mutant.base, f"{mutant.name}, {name}", mutant.codes, rewriting(mutant.source))


def _by_base(broken: list[Judged], sound: list[Judged]) -> list[tuple[str, str, str]]:
    def share(group: list[Judged], name: str) -> str:
        return _share([j for j in group if j.mutant.base == name])

    names = sorted({j.mutant.base for j in (*broken, *sound)})
    return [(name, share(broken, name), share(sound, name)) for name in names]


def _share(group: list[Judged]) -> str:
    return f"{sum(j.holds for j in group)}/{len(group)}"


def _list(title: str, group: list[Judged]) -> None:
    if not group:
        return
    rows = [
        (
            j.mutant.label,
            "\n".join(sorted(j.mutant.codes)),
            "\n".join(map(_place, j.failing)),
            "\n".join(f.rule for f in j.open),
        )
        for j in group
    ]
    print(f"{title} ({len(group)})")
    print(tabulate(rows, ["mutant", "one of", "failed", "open"], tablefmt="simple_grid"), end="\n\n")


def _place(finding: Finding) -> str:
    return f"{finding.rule} {','.join(str(e.line) for e in finding.evidence[:5])}"


if __name__ == "__main__":
    main(sys.argv[1:])
