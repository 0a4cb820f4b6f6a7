"""Bytes against the cap and seconds against the limits."""

from __future__ import annotations

from collections.abc import Sequence, Set

from reports.charts.drawing import WIDTH, Chart, Drawing, Key, Scale
from reports.facts import RunFacts, short_names

_MAX_RUNS = 10


def size(runs: Sequence[RunFacts], cap: float | None, marked: bool) -> Chart | None:
    """The largest artifact as one bar (code, model, margin), and every run's distance from the cap below it."""
    sized = [(run, run.artifact_bytes) for run in runs if run.artifact_bytes is not None][:_MAX_RUNS]
    if not sized or not cap or cap <= 0:
        return None
    largest, total = max(sized, key=lambda pair: pair[1])
    picture = Drawing(94 + 24 * len(sized), f"Artifact size: largest {total:,} of {int(cap):,} bytes")
    x = Scale(0, max(cap, total) * 1.02, 4, WIDTH - 4)
    code = largest.code_bytes or 0
    picture.rect(x(0), 18, x(cap) - x(0), 22, "margin", f"cap: {int(cap):,} bytes")
    picture.rect(x(0), 18, max(x(code) - x(0), 1.5), 22, "fill s2", f"code: {code:,} bytes")
    picture.rect(x(code), 18, x(min(total, cap)) - x(code), 22, "fill s1", f"model: {total - code:,} bytes")
    if total > cap:
        picture.rect(
            x(cap),
            16,
            x(total) - x(cap),
            22,
            "over" if marked else "fill s1",
            f"over the cap: {int(total - cap):,} bytes",
        )
    picture.line(x(cap), 14, x(cap), 46, "limit")
    picture.text(4, 10, f"largest: {total:,} bytes", "label")
    picture.text(x(cap) - 4, 10, f"cap {int(cap):,}", "label", "end")
    _margins(picture, sized, cap, marked)
    legend = (Key("s2", "code"), Key("s1", "model"), Key("margin", "margin"))
    return Chart("Size budget", picture.markup(), legend, "Below the bar: each run's distance from the cap, enlarged.")


def _margins(picture: Drawing, sized: Sequence[tuple[RunFacts, int]], cap: float, marked: bool) -> None:
    reach = max(max(abs(total - cap) for _, total in sized) * 1.3, cap * 0.002)
    x = Scale(-reach, reach, 98, WIDTH - 92)
    bottom = 76 + 24 * len(sized)
    picture.line(x(0), 58, x(0), bottom, "limit")
    picture.text(x(0), bottom + 11, "cap", "tick", "middle")
    names = short_names([run for run, _ in sized])
    for row, (run, total) in enumerate(sized):
        y = 72 + 24 * row
        over = total - int(cap)
        bad = over > 0 and marked
        style = "over" if bad else "fill s1"
        picture.text(4, y + 4, names[row], "label")
        picture.rect(min(x(0), x(over)), y - 6, abs(x(over) - x(0)), 12, style, f"{run.label}: {total:,} bytes")
        words = f"{over:,} over" if over > 0 else f"{-over:,} left"
        picture.text(WIDTH - 4, y + 4, words, "label bad" if bad else "label", "end")


def clocks(
    runs: Sequence[RunFacts], train_cap: float | None, eval_cap: float | None, criticised: Set[str]
) -> Chart | None:
    """Training and evaluation seconds of every run against their limits."""
    timed = [r for r in runs if r.train_seconds is not None or r.eval_seconds is not None][:_MAX_RUNS]
    if not timed:
        return None
    values = [v for r in timed for v in (r.train_seconds, r.eval_seconds) if v is not None]
    caps = [cap for cap in (train_cap, eval_cap) if cap]
    x = Scale(0, max([*values, *caps]) * 1.02 or 1.0, 98, WIDTH - 64)
    height = 30 + 44 * len(timed)
    picture = Drawing(height, "Training and evaluation time of each run against the limits")
    for limit in sorted(set(caps)):
        picture.line(x(limit), 18, x(limit), height - 4, "limit")
        picture.text(x(limit), 11, f"limit {limit:,.0f} s", "tick", "middle")
    names = short_names(timed)
    for row, run in enumerate(timed):
        y = 24 + 44 * row
        picture.text(4, y + 20, names[row], "label")
        for offset, name, value, cap, style in (
            (0, "train", run.train_seconds, train_cap, "fill s1"),
            (18, "eval", run.eval_seconds, eval_cap, "fill s3"),
        ):
            if value is None:
                picture.text(x(0) + 4, y + offset + 11, f"{name}: not in the log", "tick")
                continue
            over = bool(cap) and value > (cap or 0) and f"{name}-time-cap" in criticised
            picture.rect(x(0), y + offset, x(value) - x(0), 14, style, f"{run.label}: {name} {value:,.1f} s")
            if over and cap:
                picture.rect(x(cap), y + offset, max(x(value) - x(cap), 1.5), 14, "over")
            picture.text(WIDTH - 4, y + offset + 11, f"{value:,.1f} s", "label bad" if over else "label", "end")
    left = sum(1 for r in runs if r.train_seconds is not None or r.eval_seconds is not None) - len(timed)
    caption = f"{left} more runs are not drawn." if left else ""
    return Chart(
        "Clocks against the limits", picture.markup(), (Key("s1", "training"), Key("s3", "evaluation")), caption
    )
