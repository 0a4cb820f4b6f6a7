"""Inline SVG for the HTML report: no scripts, colours from the page's style sheet."""

from __future__ import annotations

from collections.abc import Mapping

from reports.charts import bars, lines, seeds
from reports.charts.drawing import Chart
from reports.facts import SubmissionFacts, number


def charts(facts: SubmissionFacts, limits: Mapping[str, float]) -> list[Chart]:
    """Return the charts that the facts allow, in the order in which a reviewer asks."""
    drawn = [
        seeds.chart(facts),
        bars.size(facts.runs, number(limits.get("artifact_cap_bytes"))),
        bars.clocks(facts.runs, number(limits.get("train_cap_seconds")), number(limits.get("eval_cap_seconds"))),
        lines.training(facts.runs),
        lines.validation(facts.runs),
        lines.adaptation(facts.runs),
    ]
    return [chart for chart in drawn if chart is not None]
