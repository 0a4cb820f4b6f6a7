"""Embedded sources: found whole, measured to the byte, and never at the cost of log lines."""

from __future__ import annotations

from checks.submission.log_source import covering, find_sources, matching_script
from checks.submission.source_difference import difference
from tests.submission import log_samples as sample


def test_span_and_bytes() -> None:
    data = ("W0426 torch/distributed/run.py:803]\n" + sample.BASELINE).encode()
    (source,) = find_sources(data)
    assert source.text == sample.SOURCE.encode()
    assert source.first_line == 2
    assert data[source.start : source.end].startswith(b"from __future__")
    assert covering((source,), source.last_line) is source
    assert covering((source,), source.last_line + 2) is None


def test_ruler_in_a_docstring_is_no_end() -> None:
    text = '"""Title\n' + "=" * 60 + "\nnotes\n" + sample.SOURCE * 2 + '"""\n' + sample.SOURCE
    (source,) = find_sources(sample.header(text).encode())
    assert source.text == text.encode()


def test_packed_script_of_two_lines() -> None:
    text = "import lzma as L,base64 as B\nexec(L.decompress(B.b85decode('abc')))\n"
    (source,) = find_sources(sample.header(text).encode())
    assert matching_script(source, {"other.py": b"x", "train_gpt.py": text.encode()}) == "train_gpt.py"


def test_byte_order_mark_and_line_ends_do_not_matter() -> None:
    (source,) = find_sources(sample.BASELINE.encode())
    assert source.matches(b"\xef\xbb\xbf" + sample.SOURCE.replace("\n", "\r\n").encode())
    assert not source.matches(sample.SOURCE.replace("1337", "42").encode())


def test_log_without_source() -> None:
    assert find_sources((sample.training() + sample.ROUNDTRIP).encode()) == ()


def test_difference_from_the_submitted_script() -> None:
    (source,) = find_sources(sample.BASELINE.encode())
    text = sample.SOURCE
    kinds = {
        "comments": text + "# later\n\n",
        "defaults": text.replace('"SEED", 1337', '"SEED", 42'),
        "code": text.replace("seed:{999}", "seed:{1}"),
    }
    for kind, script in kinds.items():
        found = difference(source, {"old.py": b"x = 1\n" * 90, "train_gpt.py": script.encode()})
        assert found is not None and (found.script, found.kind) == ("train_gpt.py", kind)
    assert found is not None and found.first_line == sample.BASELINE.split("\n").index('    log0(f"seed:{999}")') + 1
    assert difference(source, {}) is None
