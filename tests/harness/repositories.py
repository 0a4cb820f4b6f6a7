"""Small git repositories and record folders for the tests of the harness."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

FOLDER = "records/track_10min_16mb/2026-04-01_Example"
SCRIPT = """\
import os

import torch


class Hyperparameters:
    seed = int(os.environ.get("SEED", "1337"))
    num_layers = int(os.environ.get("NUM_LAYERS", "9"))


def main():
    model = torch.nn.Linear(8, 8)
    print(f"final val_bpb:{float(model.weight.sum()):.4f}")


main()
"""
README = "# Example\n\nval_bpb 1.2000\n\n```bash\ntorchrun --nproc_per_node=8 train_gpt.py\n```\n"


LOG = "seed:1\nstep:10/10 val_loss:2.0 val_bpb:1.2\nfinal_int8_zlib_roundtrip val_loss:2.0 val_bpb:1.2\n"


def record_files(folder: str = FOLDER) -> dict[str, bytes]:
    """Return a small record folder by path."""
    submission = {"name": "Example", "author": "A", "github_id": "a", "val_bpb": 1.2}
    return {
        f"{folder}/README.md": README.encode(),
        f"{folder}/submission.json": json.dumps(submission).encode(),
        f"{folder}/train_gpt.py": SCRIPT.encode(),
        f"{folder}/train_seed1.log": LOG.encode(),
    }


def write_files(root: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


class Repo:
    """A repository in a folder, with a first commit on main."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.commit({"README.md": b"challenge\n", "train_gpt.py": b"print(1)\n"}, "start")

    def git(self, *arguments: str) -> str:
        """Run git there with a fixed identity."""
        who = {
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@t",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@t",
        }
        when = {"GIT_AUTHOR_DATE": "2026-04-01T10:00:00Z", "GIT_COMMITTER_DATE": "2026-04-01T10:00:00Z"}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.path), **who, **when}
        command = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, env=environment).stdout.decode().strip()

    def commit(self, files: dict[str, bytes], message: str) -> str:
        """Write and commit files; return the commit."""
        write_files(self.path, files)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, files: dict[str, bytes], start: str = "main") -> str:
        """Commit files on a new branch, go back to main, return the branch's commit."""
        self.git("checkout", "-q", "-b", name, start)
        commit = self.commit(files, name)
        self.git("checkout", "-q", "main")
        return commit
