"""Writes wherever it can think of."""

import os

import toy

counts = toy.train()
made = []
for path in (
    os.environ["CHEAT_CANARY"],
    "/submission/train_gpt.py",
    "/submission/new.py",
    "../escape",
    "/escape",
    "/usr/escape",
    "/etc/passwd",
    "/proc/sys/kernel/core_pattern",
    os.path.join(os.environ["DATA_PATH"], "fineweb_val_000000.bin"),
    os.path.join(os.environ["DATA_PATH"], "fineweb_val_000001.bin"),
    "link/../../escape",
):
    try:
        if path == "link/../../escape":
            os.symlink("/", "link")
        with open(path, "ab") as file:
            file.write(b"x")
        made.append(path)
    except OSError:
        pass
toy.say(f"written outside: {made}")
toy.save(counts)
toy.report(*toy.score(toy.load()))
