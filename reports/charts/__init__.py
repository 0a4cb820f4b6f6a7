"""Inline SVG for the HTML report: no scripts, colours from the page's style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Set

from reports.charts import bars, lines, seeds
from reports.charts.drawing import Chart
from reports.facts import SubmissionFacts, number


def charts(facts: SubmissionFacts, limits: Mapping[str, float], criticised: Set[str]) -> list[Chart]:
    """Return the charts that the facts allow, in the order in which a reviewer asks.

    ``criticised``: rules that fail or warn. A bar is only marked as over its limit where the rule says so too, because
    the rules tolerate what organisers do (a last step that ends 0.1 s late).
    """
    drawn = [
        seeds.chart(facts),
        bars.size(facts.runs, number(limits.get("artifact_cap_bytes")), "size-cap" in criticised),
        bars.clocks(
            facts.runs, number(limits.get("train_cap_seconds")), number(limits.get("eval_cap_seconds")), criticised
        ),
        lines.training(facts.runs),
        lines.validation(facts.runs),
        lines.adaptation(facts.runs),
    ]
    return [chart for chart in drawn if chart is not None]
