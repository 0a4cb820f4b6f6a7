"""val-partition: the validation split is the first 50,000 documents, and no training shard holds any of them."""

from __future__ import annotations

import re

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.evaluation.fingerprints import Coverage, coverage, cut_elsewhere, export_words
from checks.rules.places import at, name_run, of_run
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group

CODE = "val-partition"

OVERLAP = "documents 10,000 to 49,999 are in the training data"
_TEXT_LIMIT = 200_000
_SMALL_SPLIT = re.compile(r"val[_-]docs`?['\"]?\s*(?:=|:|\bis\b|\bdefault\b)?\s*`?=?\s*10[_,]?000\b", re.IGNORECASE)
_OF_TRAINING = re.compile(r"\btrain(?:ing)?\b[^.\n]{0,20}\bshards?\b", re.IGNORECASE)
_CORRECTED = re.compile(
    r"val[_-]docs[ =`]{0,4}50[_,]?000|not used|never used|\bfix(?:ed|es)?\b|\bavoid|\bdo not\b|\binstead of\b",
    re.IGNORECASE,
)


def check(case: Case) -> Finding:
    """Check which documents the logs and the author's notes say were trained on and scored."""
    return by_logs(case, Verdicts(CODE, Group.EVALUATION, case.rulebook))


def by_logs(case: Case, say: Verdicts) -> Finding:
    """Compare shard and token counts with the known exports."""
    runs = counted(case).runs
    if not runs:
        return say.not_applicable("No complete run counts, so there is no split to check.")
    found = [(r, coverage(r, case.rulebook)) for r in runs]
    full = [(r, c) for r, c in found if _is_full(c)]
    suspect = [(r, c) for r, c in full if r.train_shards in case.rulebook.rule(CODE).numbers["suspect_shards"]]
    clears = "Train on an export whose first 50,000 documents are the validation split and in no training shard."
    if suspect:
        run = suspect[0][0]
        return say.fail(
            f"{run.train_shards} training shards are what the preparation script writes with 10,000 validation "
            f"documents, but all 50,000 are scored: {OVERLAP}.",
            [_shards(case, r) for r, _ in suspect] + [_tokens(case, r, c) for r, c in suspect[:1]],
            clears,
        )
    if full and (told := _told(case)):
        return say.fail(
            "The author's notes say that the training shards were made with 10,000 validation documents, "
            f"and all 50,000 are scored: {OVERLAP}.",
            [*told, _tokens(case, *full[0])],
            clears,
        )
    foreign = [(r, c) for r, c in found if cut_elsewhere(c, case.rulebook)]
    if foreign:
        run, cover = foreign[0]
        return say.fail(
            f"{cover.tokens:,} validation tokens have {cover.byte_share or 0:.2f} times the canonical split's bytes.",
            [_tokens(case, r, c) for r, c in foreign],
            "Score the fixed first 50,000 documents.",
        )
    known = [(r, c) for r, c in found if c.by_tokens is not None]
    if known:
        run, cover = known[0]
        shards = f" and {run.train_shards} training shards" if run.train_shards is not None else ""
        return say.passed(
            f"{cover.tokens:,} validation tokens are {export_words(cover)}{shards}.",
            [_tokens(case, r, c) for r, c in known[:6]],
        )
    if full:
        return say.passed(
            "Tokens and bytes per token give the canonical bytes of the split.",
            [_tokens(case, r, c) for r, c in full[:6]],
        )
    return say.not_applicable("The logs name no token count of the whole split; see partial-val.")


def _is_full(cover: Coverage) -> bool:
    if cover.by_tokens is not None:
        return cover.share == 1.0
    return cover.byte_share is not None and abs(cover.byte_share - 1) < 0.03


def _told(case: Case) -> list[Evidence]:
    """Lines of the folder's Markdown that give the training shards a split of 10,000 validation documents."""
    found = []
    for path, file in case.submission.files.items():
        if not path.lower().endswith(".md") or file.kind != "file":
            continue
        for number, line in enumerate(file.read(_TEXT_LIMIT).decode("utf-8", "replace").splitlines(), 1):
            if _SMALL_SPLIT.search(line) and _OF_TRAINING.search(line) and not _CORRECTED.search(line):
                found.append(at(case, path, number, line.strip()[:160], "source"))
    return found[:4]


def _shards(case: Case, run: Run) -> Evidence:
    return of_run(case, run, "train_shards", f"{name_run(run)}: {run.train_shards} training shards", "source")


def _tokens(case: Case, run: Run, cover: Coverage) -> Evidence:
    tokens = f"{cover.tokens:,}" if cover.tokens is not None else "an unknown number of"
    return of_run(case, run, "val_tokens", f"{name_run(run)}: {tokens} validation tokens", "score")
