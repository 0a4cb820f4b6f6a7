"""The order of events that an evaluation rule found: lanes for what happens, left to right as it happens."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from checks.verdict import Evidence
from reports.charts.drawing import Drawing

LANES = ("source", "adapt", "score", "reset", "report", "clock")
_LANE, _STEP, _LEFT = 30, 62, 92


def diagram(events: Sequence[Evidence]) -> Markup | None:
    """Return the diagram of up to twelve events; None unless two kinds of events are in an order."""
    events = [e for e in events if e.role in LANES][:12]
    lanes = [lane for lane in LANES if any(e.role == lane for e in events)]
    if len(lanes) < 2:
        return None
    width = _LEFT + _STEP * len(events) + 10
    picture = Drawing(_LANE * len(lanes) + 30, "Order of events: " + ", then ".join(e.role for e in events), width)
    for row, lane in enumerate(lanes):
        level = _LANE * row + 20
        picture.text(4, level + 4, lane, f"label lane-{lane}")
        picture.line(_LEFT - 20, level, width - 6, level, "grid")
    places = [(_LEFT + _STEP * i + 6.0, _LANE * lanes.index(e.role) + 20.0) for i, e in enumerate(events)]
    picture.path(places, "flow")
    for i, (event, place) in enumerate(zip(events, places, strict=True), 1):
        x, y = place
        words = f"{i}. {event.role}: {event.what} ({event.function or event.file}, line {event.line})"
        picture.circle(x, y, 11, f"event lane-{event.role}", words)
        picture.text(x, y + 4, str(i), "event-number", "middle")
        if event.line > 0:
            picture.text(x, _LANE * len(lanes) + 22, f"L{event.line}", "tick", "middle")
    return picture.markup()
