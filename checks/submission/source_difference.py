"""How the script that a log printed differs from the submitted one: by comments, by defaults, or by code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from checks.submission.log_source import EmbeddedSource


@dataclass(frozen=True)
class Difference:
    """The nearest script of the folder. ``kind`` is comments, defaults (``os.environ`` lines only) or code.

    Lines are counted without their place; ``first_line`` is the first line of the printed source that the script lacks.
    """

    script: str
    kind: str
    only_in_log: int
    only_in_script: int
    first_line: int

    def to_detail(self) -> dict[str, object]:
        """Return plain values for ``Run.details``."""
        return dict(vars(self))


def difference(source: EmbeddedSource, scripts: Mapping[str, bytes]) -> Difference | None:
    """Compare an embedded source with the script nearest to it; None without scripts. Linear in their lines."""
    printed = _lines(source.text)
    found = [_compare(source, path, printed, _lines(text)) for path, text in scripts.items()]
    return min(found, key=lambda d: d.only_in_log + d.only_in_script, default=None)


def _compare(source: EmbeddedSource, path: str, printed: list[bytes], script: list[bytes]) -> Difference:
    gone, new = Counter(printed) - Counter(script), Counter(script) - Counter(printed)
    changed = [line for line in (*gone, *new) if not _is_comment(line)]
    kind = "comments" if not changed else "defaults" if all(b"environ" in line for line in changed) else "code"
    at = next((i for i, line in enumerate(printed) if gone[line]), None)
    first = source.first_line + at if at is not None else source.first_line
    return Difference(path, kind, gone.total(), new.total(), first)


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip() for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n")]


def _is_comment(line: bytes) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith(b"#")
