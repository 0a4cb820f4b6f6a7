"""Curves over steps or chunks, one line a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reports.charts.drawing import WIDTH, Chart, Drawing, Key, Scale, series
from reports.facts import RunFacts

Points = tuple[tuple[float, float], ...]
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 230, 52, 22, 14, 42
_MAX_LINES = 12
_MAX_DRAWN = 360  # points a line: about one for each pixel


def training(runs: Sequence[RunFacts]) -> Chart | None:
    """Training loss over steps, without the first fall from ln(vocabulary), which would flatten the rest."""
    return _chart(runs, lambda r: r.curve, "Training loss", "step", "loss (nats)", skip=0.04)


def validation(runs: Sequence[RunFacts]) -> Chart | None:
    """Validation scores that were taken during training."""
    return _chart(runs, lambda r: r.val_curve, "Validation during training", "step", "val_bpb", skip=0.04)


def adaptation(runs: Sequence[RunFacts]) -> Chart | None:
    """Running BPB over the chunks of test-time training; a line that stops early ends in a cross."""
    return _chart(runs, lambda r: r.ttt_curve, "Running BPB over test-time training chunks", "chunk", "running val_bpb")


def _chart(
    runs: Sequence[RunFacts], pick: Callable[[RunFacts], Points], title: str, across: str, up: str, skip: float = 0.0
) -> Chart | None:
    drawn = [(i, run, pick(run)) for i, run in enumerate(runs) if len(pick(run)) > 1][:_MAX_LINES]
    if not drawn:
        return None
    right = max(points[-1][0] for _, _, points in drawn)
    left = min(points[0][0] for _, _, points in drawn)
    late = [(x, y) for _, _, points in drawn for x, y in points if x >= left + skip * (right - left)]
    low, high = min(y for _, y in late), max(y for _, y in late)
    pad = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    inside_x = [x for _, _, points in drawn for x, y in points if y <= high + pad]
    x = Scale(min(inside_x), right, _LEFT, WIDTH - _RIGHT)
    y = Scale(low - pad, high + pad, _HEIGHT - _BOTTOM, _TOP)
    picture = Drawing(_HEIGHT, f"{title}: {up} against {across}, {len(drawn)} runs")
    _axes(picture, x, y, across, up)
    for index, run, points in drawn:
        stopped = "" if run.complete else " stopped"
        inside = [(x(px), y(py)) for px, py in _thin(points) if py <= y.high]
        picture.path(inside, f"curve {series(index)}{stopped}", run.label)
        if inside and run.complete:
            picture.circle(*inside[-1], 3, f"dot {series(index)}", f"{run.label}: {points[-1][1]:.4f}")
        elif inside:
            ex, ey = inside[-1]
            picture.path([(ex - 4, ey - 4), (ex + 4, ey + 4)], f"curve {series(index)}", f"{run.label}: ends here")
            picture.path([(ex - 4, ey + 4), (ex + 4, ey - 4)], f"curve {series(index)}", f"{run.label}: ends here")
    legend = tuple(Key(series(i), run.label + ("" if run.complete else " (incomplete)")) for i, run, _ in drawn)
    count = sum(1 for run in runs if len(pick(run)) > 1) - len(drawn)
    return Chart(title, picture.markup(), legend, f"{count} more runs are not drawn." if count else "")


def _axes(picture: Drawing, x: Scale, y: Scale, across: str, up: str) -> None:
    base = _HEIGHT - _BOTTOM
    for value in y.ticks(5):
        picture.line(_LEFT, y(value), WIDTH - _RIGHT, y(value), "grid")
        picture.text(
            _LEFT - 6, y(value) + 4, f"{value:.4g}" if y.high - y.low > 0.05 else f"{value:.4f}", "tick", "end"
        )
    for value in x.ticks(5):
        picture.line(x(value), base, x(value), base + 4, "axis")
        picture.text(x(value), base + 17, f"{value:,.0f}", "tick", "middle")
    picture.line(_LEFT, base, WIDTH - _RIGHT, base, "axis")
    picture.text(WIDTH - _RIGHT, _HEIGHT - 8, across, "label", "end")
    picture.text(2, 10, up, "label")


def _thin(points: Points) -> Points:
    """Keep the lowest and highest point of each bucket, so that spikes and stalls stay visible."""
    if len(points) <= _MAX_DRAWN:
        return points
    size = len(points) * 2 // _MAX_DRAWN + 1
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        kept += sorted({min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])})
    return (*kept, points[-1])
