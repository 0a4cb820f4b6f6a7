"""The front end on scripts of real submissions (env PGOLF_ARCHIVE): a sample equals the host's reading."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from checks.program.environment import environment
from checks.program.parse import parse
from checks.program.source import decode
from checks.program.unpacking.unpack import unpack
from tests.program.frontend.comparison import difference, host_tree
from tests.submission.archive import git, needs_archive, pull_requests

_EVERY = 90
_SCRIPTS = 15


def added_scripts() -> Iterator[tuple[str, str, bytes]]:
    """Yield (ref, path, content) of every Python file that the sampled pull requests add."""
    for ref in pull_requests(_EVERY):
        try:
            base = git("merge-base", "refs/heads/main", ref).decode().strip()
        except subprocess.CalledProcessError:  # a head that shares no history with main
            continue
        changed = git("diff-tree", "-r", "-z", "--no-renames", "--diff-filter=A", base, ref, "--", "records").split(
            b"\0"
        )
        for meta, path in zip(changed[::2], changed[1::2], strict=False):
            if path.endswith(b".py"):
                yield ref, path.decode("utf-8", "replace"), git("cat-file", "blob", meta.split()[3].decode())


@pytest.mark.archive
@needs_archive
def test_sample_of_the_archive() -> None:
    read = 0
    for ref, path, data in added_scripts():
        text = decode(data)
        try:
            host = host_tree(text)
        except SyntaxError:
            continue
        parsed = parse(text)
        assert difference(parsed.tree, host) == "", f"{ref} {path}"
        found = unpack(text, parsed.tree, path.rpartition("/")[2])
        if found is not None:
            assert found.source or found.reason, f"{ref} {path}"
            if found.packed and found.source:
                environment(parse(found.source).tree)
        read += 1
        if read == _SCRIPTS:
            break
    assert read == _SCRIPTS
