"""Each renderer on the same verdicts, against stored results. PGOLF_UPDATE_SNAPSHOTS=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from verdict_samples import SAMPLES

import reports
from reports import github

SNAPSHOTS = Path(__file__).parent / "snapshots"
SUFFIXES = {
    "terminal": "txt",
    "markdown": "md",
    "json": "json",
    "sarif": "sarif",
    "html": "html",
    "github": "commands",
    "junit": "xml",
}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("form", reports.FORMATS)
def test_snapshot(form: str, sample: str) -> None:
    rendered = reports.render(form, SAMPLES[sample]())
    path = SNAPSHOTS / f"{sample}.{SUFFIXES[form]}"
    if os.environ.get("PGOLF_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(rendered, encoding="utf-8", newline="")
    assert rendered == path.read_bytes().decode()


@pytest.mark.parametrize("sample", SAMPLES)
def test_rendering_twice_gives_the_same(sample: str) -> None:
    for form in reports.FORMATS:
        assert reports.render(form, SAMPLES[sample]()) == reports.render(form, SAMPLES[sample]())


def test_step_summary_is_the_comment() -> None:
    assert github.step_summary(SAMPLES["violation"]()) == reports.render("markdown", SAMPLES["violation"]())
