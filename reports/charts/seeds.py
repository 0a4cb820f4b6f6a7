"""The score of every complete run beside the record that it has to beat."""

from __future__ import annotations

from reports.charts.drawing import WIDTH, Chart, Drawing, Key, Scale, series
from reports.facts import SubmissionFacts, short_names

_ROW = 20


def chart(facts: SubmissionFacts) -> Chart | None:
    """Dots for seeds, a bar for the mean's confidence interval, lines for record, target and claim."""
    scored = [(i, run, run.val_bpb) for i, run in enumerate(facts.runs) if run.complete and run.val_bpb is not None][
        :12
    ]
    record = facts.record
    marks = [("record", record.val_bpb), ("needed", record.target), ("claim", facts.claimed_val_bpb)]
    lines = [(name, value) for name, value in marks if value is not None]
    if not scored and len(lines) < 2:
        return None
    values = [v for _, _, v in scored] + [v for _, v in lines] + [v for v in (record.low, record.high) if v is not None]
    span = max(values) - min(values) or 0.001
    x = Scale(min(values) - span * 0.08, max(values) + span * 0.08, 78, WIDTH - 20)
    top = 14 + 15 * len(lines)
    has_mean = record.mean is not None
    bottom = top + _ROW * (len(scored) + has_mean) + 10
    picture = Drawing(bottom + 38, "Scores of the complete runs against the record; lower is better")
    for row, (name, value) in enumerate(sorted(lines, key=lambda pair: pair[1])):
        y = 12 + 15 * row
        left = x(value) > WIDTH * 0.62
        picture.line(x(value), y - 8, x(value), bottom, f"mark-line {name}")
        picture.text(
            x(value) + (-4 if left else 4), y, f"{name} {value:.4f}", f"label {name}", "end" if left else "start"
        )
    names = short_names([run for _, run, _ in scored])
    for row, (index, run, value) in enumerate(scored):
        y = top + _ROW * row + 10
        picture.text(4, y + 4, names[row], "label")
        picture.line(78, y, WIDTH - 20, y, "grid")
        picture.circle(x(value), y, 4.5, f"dot {series(index)}", f"{run.label}: {value:.5f}")
    if record.mean is not None:
        y = top + _ROW * len(scored) + 10
        picture.text(4, y + 4, "mean", "label strong")
        if record.low is not None and record.high is not None:
            picture.line(x(record.low), y, x(record.high), y, "interval")
            picture.line(x(record.low), y - 5, x(record.low), y + 5, "interval")
            picture.line(x(record.high), y - 5, x(record.high), y + 5, "interval")
        picture.circle(x(record.mean), y, 5, "dot mean", f"mean: {record.mean:.5f}")
    for value in x.ticks(4):
        picture.line(x(value), bottom, x(value), bottom + 4, "axis")
        picture.text(x(value), bottom + 17, f"{value:.4f}" if span < 0.05 else f"{value:.3f}", "tick", "middle")
    picture.line(78, bottom, WIDTH - 20, bottom, "axis")
    picture.text(WIDTH - 20, bottom + 31, "val_bpb (lower is better)", "label", "end")
    return Chart("Seeds against the record", picture.markup(), _legend(facts), _caption(facts, len(scored)))


def _legend(facts: SubmissionFacts) -> tuple[Key, ...]:
    record = facts.record
    keys = [
        Key("record", "record in force" + (f" (PR {record.pr})" if record.pr is not None else ""))
        if record.val_bpb
        else None,
        Key("needed", "score needed to beat it") if record.target is not None else None,
        Key("claim", "claimed score") if facts.claimed_val_bpb is not None else None,
        Key("mean", "mean with 95 % interval" if record.low is not None else "mean")
        if record.mean is not None
        else None,
    ]
    return tuple(key for key in keys if key)


def _caption(facts: SubmissionFacts, count: int) -> str:
    record = facts.record
    if record.p_lower is not None:
        margin = f", {record.p_margin:.3g} for lower by the margin" if record.p_margin is not None else ""
        return f"One-sided p: {record.p_lower:.3g} for lower than the record{margin}."
    return "" if count else "No complete run: nothing in the logs supports a score."
