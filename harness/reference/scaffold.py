"""Make a new record folder from the reference submission, ready to be changed, run and judged."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from pathlib import Path

from harness.errors import UsageFault
from harness.reference import REFERENCE_FOLDER

_README = """# {name}

What this submission does differently, and why it should help.

## Result

Not run yet. After three seeds on 8xH100 SXM: the mean val_bpb, each seed's log, the artifact's bytes.

## Run

```bash
pip install -r requirements.txt
for seed in 42 1337 2024; do
  SEED=$seed RUN_ID=train_seed$seed torchrun --standalone --nproc_per_node=8 train_gpt.py
  cp logs/train_seed$seed.txt train_seed$seed.log
done
```

Started from the reference submission of parameter-golf-harness (`pgolf reference new`). Check it with `pgolf review .`.
"""


def new_submission(
    name: str, parent: Path, *, author: str = "", github_id: str = "", today: dt.date | None = None
) -> Path:
    """Create ``parent/YYYY-MM-DD_name`` and return it. Raises UsageFault where the name or the folder will not do."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise UsageFault(f"{name!r}: a name has letters, digits, dots, dashes and underscores, at most 80, no spaces")
    date = today or dt.datetime.now(dt.timezone.utc).date()
    folder = parent / f"{date.isoformat()}_{name}"
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageFault(f"{folder} is there already: choose another name") from error
    except OSError as error:
        raise UsageFault(f"cannot make {folder}: {error.strerror}") from error
    for file in ("train_gpt.py", "requirements.txt"):
        shutil.copyfile(REFERENCE_FOLDER / file, folder / file)
    claim = {
        "name": name,
        "author": author,
        "github_id": github_id,
        "date": date.isoformat(),
        "track": "10min_16mb",
        "val_bpb": None,
        "val_bpb_note": "not run yet: fill in the mean of the seeds' final *_exact lines",
        "blurb": "",
    }
    (folder / "submission.json").write_text(json.dumps(claim, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_README.format(name=name), encoding="utf-8")
    return folder
