"""What the reports must say, cut and keep."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from verdict_samples import HEAD, ORDER, SCRIPT, WAIVER, compliant, incomplete, violation

import reports
from checks.verdict import Evidence, Finding, Group, Status, Verdict, conclude
from reports import github, stored
from reports.escaping.markdown import permalink
from reports.markdown import LIMIT


def many(count: int, status: Status = Status.FAIL, size: int = 300) -> Verdict:
    finding = Finding("size-cap", status, "Over the cap", "x" * size, Group.LIMITS, status is Status.FAIL,
                      (Evidence(SCRIPT, 1, excerpt="code\n" * 40),), ("#1",), "y" * size)  # fmt: skip
    findings = tuple(replace(finding, rule=f"rule-{i}") for i in range(count))
    return replace(violation(), findings=findings)


@pytest.mark.parametrize("count", [10, 60, 300, 2_000])
def test_comment_fits_and_says_what_was_cut(count: int) -> None:
    comment = reports.render("markdown", many(count))
    assert len(comment.encode("utf-16-le")) // 2 <= LIMIT
    assert ("This comment was cut" in comment) == (count > 10)
    assert "recommendation: request changes" in comment
    assert "Rules: parameter-golf" in comment


def test_cut_drops_excerpts_before_findings() -> None:
    comment = reports.render("markdown", many(60))
    assert "source excerpt" in comment
    assert all(f"`rule-{i}`" in comment for i in range(60))


def test_astral_characters_count_twice() -> None:
    verdict = replace(violation(), notes=("\U0001f600" * 390,) * 90)
    assert len(reports.render("markdown", verdict).encode("utf-16-le")) // 2 <= LIMIT


def test_annotations_stop_at_ten_of_a_type_and_say_so() -> None:
    rows = github.render(many(25)).splitlines()
    errors = [row for row in rows if row.startswith("::error")]
    assert len(errors) == 10
    assert "20 more findings" in errors[-1]


def test_waiver_is_echoed_and_blocks_nothing() -> None:
    verdict = compliant()
    for form in ("terminal", "markdown", "html", "junit", "sarif", "json"):
        assert WAIVER.why in reports.render(form, verdict), form
    assert "::error" not in github.render(verdict)
    (result,) = json.loads(reports.render("sarif", verdict))["runs"][0]["results"]
    assert result["suppressions"][0]["kind"] == "external"


def test_fingerprint_survives_shifted_lines_and_tells_findings_apart() -> None:
    def fingerprints(verdict: Verdict) -> list[str]:
        results = json.loads(reports.render("sarif", verdict))["runs"][0]["results"]
        return [r["partialFingerprints"]["primaryLocationLineHash"] for r in results]

    def shifted(finding: Finding) -> Finding:
        moved = (replace(e, line=e.line + 7, end_line=e.end_line and e.end_line + 7) for e in finding.evidence)
        return replace(finding, evidence=tuple(moved), summary=finding.summary + " Line 7 moved.")

    before = violation()
    sub = before.submissions[0]
    after = replace(before, submissions=(replace(sub, findings=tuple(shifted(f) for f in sub.findings)),))
    assert fingerprints(before) == fingerprints(after)
    assert len(set(fingerprints(before))) == len(fingerprints(before))
    twice = replace(before, submissions=(replace(sub, findings=(ORDER, ORDER)),))
    assert len(set(fingerprints(twice))) == 3


def test_sarif_has_the_order_as_code_flow() -> None:
    results = json.loads(reports.render("sarif", violation()))["runs"][0]["results"]
    (flow,) = next(r for r in results if r["ruleId"] == "ttt-adapt-before-score")["codeFlows"]
    steps = flow["threadFlows"][0]["locations"]
    assert [s["kinds"][0] for s in steps] == ["source", "adapt", "score", "report"]
    lines = [s["location"]["physicalLocation"]["region"]["startLine"] for s in steps]
    assert lines == [210, 1180, 1240, 1242]


def test_undecided_is_open_in_sarif_and_skipped_in_junit() -> None:
    results = json.loads(reports.render("sarif", violation()))["runs"][0]["results"]
    undecided = next(r for r in results if r["ruleId"] == "unnormalised-mixture")
    assert (undecided["kind"], undecided["level"]) == ("open", "none")
    assert 'skipped message="could not be decided"' in reports.render("junit", violation())


def test_links_point_at_the_head_commit() -> None:
    assert permalink("o/r", HEAD, "a b/(c).py", 3, 5) == f"https://github.com/o/r/blob/{HEAD}/a%20b/%28c%29.py#L3-L5"
    assert permalink("o/r", HEAD, "README.md", 3) == f"https://github.com/o/r/blob/{HEAD}/README.md?plain=1#L3"
    for repository, commit, path in (
        ("o/r", HEAD, "../x"),
        ("o/r", HEAD, "a//b"),
        ("o/r", HEAD, "/a"),
        ("o/r", "main", "a"),
        ("o/r/..", HEAD, "a"),
        ("../..", HEAD, "a"),
        (None, HEAD, "a"),
        ("o/r", None, "a"),
    ):
        assert permalink(repository, commit, path, 1) is None


def test_unpacked_source_is_named_but_not_linked_by_line() -> None:
    finding = replace(ORDER, evidence=(Evidence(SCRIPT + "!unpacked", 900, what="here", excerpt="x = 1"),))
    verdict = replace(violation(), findings=(finding,), submissions=())
    for form in ("markdown", "html", "terminal"):
        text = reports.render(form, verdict)
        assert "train_gpt.py!unpacked:900" in text
        assert "#L900" not in text


def test_plain_when_piped_and_colour_when_asked() -> None:
    assert "\x1b" not in reports.render("terminal", violation())
    assert "\x1b[31m" in reports.FORMATS["terminal"].renderer(violation(), color=True)


def test_terminal_keeps_its_width() -> None:
    text = reports.FORMATS["terminal"].renderer(violation(), width=80)
    table = text[text.index("  log  ") : text.index("Not met")]  # the table of runs takes what its columns need
    assert max(map(len, text.replace(table, "").splitlines())) <= 82


def test_empty_facts_and_wrong_types_render() -> None:
    facts = {"runs": [None, 3, {"log": 7, "seed": "x", "val_bpb": float("nan"), "curve": [[1], "x", [1e400, 2]]}],
             "configuration": {"A": 3}, "claimed_val_bpb": True, "code_bytes": 1.5}  # fmt: skip
    verdict = incomplete()
    broken = replace(verdict, submissions=(replace(verdict.submissions[0], facts=facts),))
    for form in reports.FORMATS:
        assert reports.render(form, broken)


@pytest.mark.parametrize("sample", [violation, compliant, incomplete])
def test_json_round_trip(sample: object) -> None:
    document = reports.render("json", sample())  # type: ignore[operator]
    assert reports.render("json", stored.read(document.encode())) == document


def test_stored_verdict_takes_the_trusted_identity() -> None:
    data = reports.render("json", replace(violation(), target=replace(violation().target, pr=None))).encode()
    verdict = stored.read(data, pr=7, head=HEAD, repository="a/b")
    assert (verdict.target.pr, verdict.target.repository) == (7, "a/b")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "no readable JSON"),
        (b"\xff", "no readable JSON"),
        (b"[" * 100_000, "no readable JSON"),
        (b"[" * 60 + b"]" * 60, "nested too deep"),
        (b"{}", "fails 'required'"),
        (b'{"schema": NaN}', "NaN is no JSON number"),
        (b" " * (stored.MAX_BYTES + 1), "at most"),
        (
            reports.render("json", violation()).replace('"blocking": true', '"blocking": "yes"', 1).encode(),
            "findings/0",
        ),
        (reports.render("json", violation()).encode(), "about PR 4242, not about PR 7"),
    ],
    ids=range(9),
)
def test_stored_verdict_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(stored.StoredVerdictError, match=says):
        stored.read(data, pr=7)


def test_stored_verdict_of_another_commit_is_refused() -> None:
    with pytest.raises(stored.StoredVerdictError, match="another commit"):
        stored.read(reports.render("json", violation()).encode(), head="1" * 40)


def test_samples_conclude_as_they_say() -> None:
    verdict = violation()
    assert conclude(verdict.findings + verdict.submissions[0].findings)[0] is verdict.verdict
    assert conclude(compliant().findings)[0] is compliant().verdict
