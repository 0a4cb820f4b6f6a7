"""Every hostile string goes through every renderer; real parsers say whether it stayed text."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree as ET

import html5lib
import jsonschema
import pytest
from hostile_strings import STRINGS, poison
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from verdict_samples import SAMPLES, violation

import reports
from reports import github, stored
from reports.escaping import csv as csv_escape
from reports.escaping.markdown import MARKER_PREFIX

HERE = Path(__file__).parent
XHTML = "{http://www.w3.org/1999/xhtml}"
HOSTILE = pytest.mark.parametrize("text", STRINGS, ids=range(len(STRINGS)))
# What GitHub acts upon in the text of a rendered comment, outside code and links.
ACTIVE = re.compile(
    "[@\uff20\ufe6b]\\w|[#\uff03]\\d|\\bgh-\\d|://|\\bwww\\.|\\bmailto:|:[\\w+-]+:|\\b(?=[0-9]*[a-f])[0-9a-f]{7,40}\\b",
    re.I,
)
LINKS = (
    "https://github.com/openai/parameter-golf/blob/8f803e96c525",
    "https://github.com/openai/parameter-golf/pull/4242",
    "https://github.com/openai/parameter-golf/issues/",
    "https://redirect.github.com/openai/parameter-golf/issues/",
)


def invisible(text: str, allowed: str = "\n") -> list[str]:
    return [c for c in text if c not in allowed and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]


def skeleton(tree: ET.Element, ignore: tuple[str, ...]) -> list[str]:
    """Names of the elements in document order."""
    names = (str(e.tag).removeprefix(XHTML) for e in tree.iter() if isinstance(e.tag, str))
    return [name for name in names if name not in ignore]


@functools.cache
def benign(form: str) -> list[str]:
    return skeleton(parsed(form, poison(violation(), "plain words")), ("code", "a", "span"))


def parsed(form: str, verdict: object) -> ET.Element:
    text = reports.render(form, verdict)  # type: ignore[arg-type]
    if form == "markdown":
        text = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    return html5lib.parse(text, treebuilder="etree")


def texts(tree: ET.Element, within: tuple[str, ...]) -> list[str]:
    """Text nodes that are in none of the elements named."""
    found = []

    def walk(element: ET.Element) -> None:
        name = str(element.tag).removeprefix(XHTML)
        if isinstance(element.tag, str) and name not in within:
            found.append(element.text or "")
            for child in element:
                walk(child)
                found.append(child.tail or "")

    walk(tree)
    return found


def check_links(tree: ET.Element) -> None:
    for link in tree.iter(f"{XHTML}a"):
        address = link.get("href", "")
        if re.fullmatch(r"#part-\d+", address):
            continue
        assert address.startswith(LINKS), address
        assert ".." not in address.split("/"), address


def check_markdown(text: str) -> None:
    verdict = poison(violation(), text)
    comment = reports.render("markdown", verdict)
    assert comment.startswith(MARKER_PREFIX)
    assert comment.count(MARKER_PREFIX) == 1
    assert len(comment) <= 65_536
    assert not invisible(comment)
    tree = parsed("markdown", verdict)
    check_links(tree)
    for node in texts(tree, ("code", "pre", "a")):
        assert not ACTIVE.search(node), ACTIVE.search(node)
    if text.strip() and "was cut to fit" not in comment:
        assert skeleton(tree, ("code", "a", "span")) == benign("markdown")


def check_html(text: str) -> None:
    verdict = poison(violation(), text)
    page = reports.render("html", verdict)
    assert not invisible(page, "\n\t")
    tree = html5lib.parse(page, treebuilder="etree")
    check_links(tree)
    names = set(skeleton(tree, ()))
    assert not names & {"script", "img", "iframe", "object", "embed", "form", "base", "link"}
    for element in tree.iter():
        assert not [a for a in element.attrib if str(a).lower().startswith("on") or str(a) == "style"]
    if text.strip():
        assert skeleton(tree, ("code", "pre", "span", "a")) == [n for n in benign("html") if n not in ("pre", "span")]


def check_terminal(text: str) -> None:
    verdict = poison(violation(), text)
    plain = reports.render("terminal", verdict)
    assert not invisible(plain)
    assert not [row for row in plain.splitlines() if row.strip().startswith("::") or "##[" in row]
    coloured = reports.FORMATS["terminal"].renderer(verdict, color=True)
    assert not invisible(re.sub(r"\x1b\[[0-9;]{1,8}m", "", coloured))


def check_commands(text: str) -> None:
    """Parses as the Actions runner does: one command a line, properties split at commas, then unescaped."""
    rows = github.render(poison(violation(), text)).splitlines()
    assert len(rows) == 7
    for row in rows:
        match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", row)
        assert match, row
        properties = [p.partition("=")[0] for p in match[2].split(",")]
        assert set(properties) <= {"file", "line", "endLine", "title"}
        assert len(set(properties)) == len(properties)
        assert not re.search(r"%(?!25|0A)", match[3])


def check_sarif(text: str) -> None:
    log = json.loads(reports.render("sarif", poison(violation(), text)))
    assert not list(sarif_schema().iter_errors(log))
    for result in log["runs"][0]["results"]:
        message = result["message"]["text"]
        assert not re.search(r"(?<!\\)\[[^\]]*[^\\]\]\(", message)
        for location in result["locations"]:
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            assert re.fullmatch(r"[\w.~%/-]*", uri, re.ASCII)
            assert ".." not in uri.split("/")


def check_data(text: str) -> None:
    verdict = poison(violation(), text)
    document = reports.render("json", verdict)
    assert document.isascii()
    assert not invisible(document)
    assert stored.read(document.encode()).verdict is verdict.verdict
    suites = ET.fromstring(reports.render("junit", verdict))
    assert len(list(suites.iter("testcase"))) == 11
    assert sum(int(s.get("failures", 0)) for s in suites) == len(list(suites.iter("failure"))) == 5


@functools.cache
def sarif_schema() -> jsonschema.Draft4Validator:
    schema = json.loads((HERE / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


CHECKS = (check_markdown, check_html, check_terminal, check_commands, check_sarif, check_data)


@pytest.mark.parametrize("check", CHECKS)
@HOSTILE
def test_text_stays_text(check: object, text: str) -> None:
    check(text)  # type: ignore[operator]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.one_of(st.sampled_from("`@#:|<>[]()!&\n\r\\$*_~%=-"), st.characters()), min_size=1, max_size=60))
def test_any_text_stays_text(text: str) -> None:
    for check in CHECKS:
        check(text)


@HOSTILE
def test_csv_cell_is_no_formula(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([csv_escape.cell(text), 1.5])
    (row,) = csv.reader(io.StringIO(out.getvalue()))
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert not invisible(row[0], "")
    assert row[1] == "1.5"


def test_sarif_of_samples_is_valid() -> None:
    for sample in SAMPLES.values():
        assert not list(sarif_schema().iter_errors(json.loads(reports.render("sarif", sample()))))
