"""Record folders in memory."""

from __future__ import annotations

from collections.abc import Mapping

from checks.submission.model import SourceFile


def folder(contents: Mapping[str, str | bytes]) -> dict[str, SourceFile]:
    """Files by path relative to the folder."""
    found = {}
    for path, content in contents.items():
        data = content.encode() if isinstance(content, str) else content
        found[path] = SourceFile(path, len(data), "file", lambda limit, data=data: data[:limit])  # type: ignore[misc]
    return found
