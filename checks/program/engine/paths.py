"""Names of files that hold a split's tokens: a label of its own, which turns into tokens where the file is read."""

from __future__ import annotations

from collections.abc import Sequence

from checks.program.engine.labels import Data, Label, Labels
from checks.program.engine.values import Value


def names_files(labels: Labels) -> bool:
    """Whether labels name files of a split."""
    return any(map(_is_path, labels))


def opened(labels: Labels) -> Labels:
    """Labels of what a file holds, from the labels of its name."""
    return frozenset(Data(x.source, x.symbols, "") if isinstance(x, Data) and x.role == "path" else x for x in labels)


def without_paths(labels: Labels) -> Labels:
    """Labels without the names of files."""
    return frozenset(x for x in labels if not _is_path(x))


def folder_of(path: Value) -> Value:
    """The folder of a file: other files in it are not the split's."""
    return Value(labels=without_paths(path.labels), symbols=path.symbols)


def joined(parts: Sequence[Value]) -> list[Labels]:
    """Labels of the parts of a path: of folders and file, the last that names a split's files decides."""
    named = [i for i, part in enumerate(parts) if names_files(part.labels)]
    return [part.labels if not named or i == named[-1] else without_paths(part.labels) for i, part in enumerate(parts)]


def _is_path(label: Label) -> bool:
    return isinstance(label, Data) and label.role == "path"
