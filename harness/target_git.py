"""Reads objects of a git repository without a checkout, and without trusting the repository.

Only plumbing runs, with a bare environment: no hooks, no user or system configuration, no attributes, filters or
external diffs, no replacement objects, and no network (a partial clone's missing objects stay missing). Nothing is
written.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from checks.submission.model import Change, SourceFile
from harness.errors import UsageFault

SUBMODULE = "160000"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
SECONDS = 120
_OPTIONS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.bigFileThreshold": "16m",  # larger blobs are streamed, not held in memory
    "core.packedGitLimit": "512m",
    "core.packedGitWindowSize": "32m",
    "protocol.allow": "never",
}


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


@dataclass(frozen=True)
class TreeEntry:
    """One path of a tree: git's mode, the object's id and the path as text."""

    mode: str
    sha: str
    path: str


class Repository:
    """A git repository, bare or not, read through plumbing commands.

    Raises:
        UsageFault: there is no repository at that path, or no git on this machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        inner = path / ".git"
        self.bare = not inner.exists()
        git_dir = path if self.bare else inner
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        self._command = ["git", "--no-pager", "--literal-pathspecs", f"--git-dir={git_dir.absolute()}", *options]
        self._reader: subprocess.Popen[bytes] | None = None
        self._reader_owner = 0
        if not self._ask("rev-parse", "--git-dir"):
            raise UsageFault(f"{path}: no git repository (give a bare repository or the top of a checkout)")

    def resolve(self, ref: str) -> str | None:
        """Return the commit that a ref names; None when there is none."""
        found = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return found.decode("ascii").strip() or None

    def default_branch(self) -> str | None:
        """Return the commit of the default branch, None when it cannot be told."""
        names = ["HEAD"] if self.bare else []
        names += ["refs/remotes/origin/HEAD", "refs/heads/main", "refs/heads/master"]
        names += ["refs/remotes/origin/main", "refs/remotes/origin/master", "HEAD"]
        return next((sha for name in names if (sha := self.resolve(name))), None)

    def refs(self, pattern: str) -> list[tuple[str, str]]:
        """Return (ref, commit) of the refs that match a ``git for-each-ref`` pattern."""
        rows = self._ask("for-each-ref", "--format=%(refname) %(objectname)", pattern).decode("utf-8", "replace")
        return [(ref, sha) for ref, _, sha in (row.rpartition(" ") for row in rows.splitlines()) if ref]

    def is_shallow(self) -> bool:
        """Whether history was cut off when cloning."""
        return self._ask("rev-parse", "--is-shallow-repository").strip() == b"true"

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, None without one."""
        return self._ask("merge-base", one, other).decode("ascii").strip() or None

    def commits(self, *arguments: str, paths: Sequence[str] = ()) -> list[str]:
        """Return commit ids as ``git rev-list`` orders them."""
        tail = ["--", *paths] if paths else ["--"]
        return self._ask("rev-list", *arguments, *tail).decode("ascii").split()

    def author_time(self, commit: str) -> int | None:
        """Return a commit's author time in seconds since 1970, None when it is absurd."""
        words = self._ask("show", "-s", "--format=%at", "--no-show-signature", commit).split()
        return int(words[0]) if words and words[0].isdigit() and int(words[0]) < 2**33 else None

    def subject(self, commit: str) -> str:
        """Return the first line of a commit's message, at most 300 characters."""
        return _text(self._ask("show", "-s", "--format=%s", "--no-show-signature", commit)).strip()[:300]

    def changes(self, base: str, head: str) -> list[Change]:
        """Return the paths that differ between two commits or trees, renames taken as delete and add."""
        fields = self._ask("diff-tree", "-r", "-z", "--no-renames", "--name-status", "--no-ext-diff", base, head)
        words = fields.split(b"\0")
        return [Change(s.decode("ascii")[:1], _text(p)) for s, p in zip(words[::2], words[1::2], strict=False)]

    def touched(self, commits: Sequence[str]) -> set[str]:
        """Return the paths that any of these commits changes against its first parent."""
        if not commits:
            return set()
        arguments = ["diff-tree", "--stdin", "--no-commit-id", "-r", "-z", "--root", "--no-renames", "--name-only"]
        done = self._run([*arguments, "--no-ext-diff"], "".join(f"{c}\n" for c in commits).encode())
        return {_text(path) for path in done.split(b"\0") if path}

    def tree(self, commit: str, folder: str = "") -> list[TreeEntry]:
        """Return all files below a folder of a commit."""
        entries = []
        for row in self._ask("ls-tree", "-r", "-z", "--full-tree", commit, *([folder] if folder else [])).split(b"\0"):
            meta, _, path = row.partition(b"\t")
            if path:
                mode, _, sha = meta.decode("ascii").split(" ")
                entries.append(TreeEntry(mode, sha, _text(path)))
        return entries

    def sizes(self, shas: Sequence[str]) -> dict[str, int]:
        """Return the size of each object that is there; missing ones are left out."""
        found: dict[str, int] = {}
        left = list(dict.fromkeys(shas))
        while left:
            done = self._run(["cat-file", "--batch-check"], "".join(f"{s}\n" for s in left).encode()).splitlines()
            for row in done:
                words = row.split(b" ")
                if len(words) == 3 and words[2].isdigit():
                    found[words[0].decode("ascii")] = int(words[2])
            # When git died at an object that it could not fetch, go on behind it.
            left = left[len(done) + 1 :] if len(done) < len(left) else []
        return found

    def file(self, entry: TreeEntry, sizes: dict[str, int]) -> SourceFile:
        """Return a file of a tree; its content is read on demand."""
        kind = "symlink" if entry.mode == "120000" else "file"
        if entry.mode == SUBMODULE or entry.sha not in sizes:
            return SourceFile(entry.path, 0, "missing", lambda limit: b"", entry.sha)
        return SourceFile(entry.path, sizes[entry.sha], kind, lambda limit: self.blob(entry.sha, limit), entry.sha)

    def blob(self, sha: str, limit: int) -> bytes:
        """Return at most ``limit`` bytes of a blob; empty when it is missing."""
        reader = self._open_reader()
        assert reader.stdin is not None and reader.stdout is not None
        try:
            reader.stdin.write(sha.encode("ascii") + b"\n")
            reader.stdin.flush()
            header = reader.stdout.readline().split()
        except BrokenPipeError:
            header = []
        if len(header) != 3 or not header[2].isdigit():
            if header[-1:] != [b"missing"]:
                self._close_reader()
            return b""
        size = int(header[2])
        data = reader.stdout.read(min(size, limit))
        if size > limit:
            self._close_reader()  # rather than reading on through what nobody wants
        else:
            reader.stdout.read(1)
        return data

    def _open_reader(self) -> subprocess.Popen[bytes]:
        # A forked child must not share its parent's pipes.
        if self._reader is None or self._reader_owner != os.getpid():
            self._reader = subprocess.Popen(
                [*self._command, "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
            self._reader_owner = os.getpid()
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None and self._reader_owner == os.getpid():
            self._reader.kill()
            self._reader.communicate()
        self._reader = None

    def _ask(self, *arguments: str) -> bytes:
        return self._run(arguments, b"")

    def _run(self, arguments: Sequence[str], stdin: bytes) -> bytes:
        try:
            done = subprocess.run(
                [*self._command, *arguments],
                input=stdin,
                capture_output=True,
                env=_environment(),
                timeout=SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise UsageFault("git is not installed: install it, or review a plain folder") from None
        except subprocess.TimeoutExpired:
            raise UsageFault(f"{self.path}: git {arguments[0]} took longer than {SECONDS} s") from None
        return done.stdout


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
