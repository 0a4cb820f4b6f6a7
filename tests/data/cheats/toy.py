"""A whole submission in little: unigram counts as the model. Honest by itself; the cheats beside it use its parts.

Standard library only, so that a run takes a tenth of a second. Prints what real trainers print.
"""

import array
import glob
import json
import math
import os
import sys
import time
import zlib

if os.environ.get("RANK", "0") != "0":
    sys.exit(0)

ARTIFACT = "final_model.ptz"
VOCAB = 64
BYTES_PER_TOKEN = 2.0


def say(text):
    print(text, flush=True)


def tokens(split):
    """All tokens of a split."""
    found = array.array("H")
    for path in sorted(glob.glob(os.path.join(os.environ["DATA_PATH"], f"fineweb_{split}_*.bin"))):
        with open(path, "rb") as file:
            file.seek(1024)
            found.frombytes(file.read())
    return found


def train(steps=4, seconds=0.2, clock=1.0):
    """Count tokens; ``clock`` is how fast the printed clock runs."""
    say(f"seed:{os.environ['SEED']}")
    stream = tokens("train")
    counts = [1] * VOCAB
    began = time.monotonic()
    for step in range(1, steps + 1):
        for token in stream[(step - 1) * len(stream) // steps : step * len(stream) // steps]:
            counts[token % VOCAB] += 1
        time.sleep(seconds / steps)
        spent = (time.monotonic() - began) * clock
        say(f"step:{step}/{steps} train_loss:2.0000 train_time:{1000 * spent:.0f}ms step_avg:{1000 * spent / step:.2f}ms")
    return counts


def save(counts, path=ARTIFACT):
    blob = zlib.compress(json.dumps(counts).encode())
    with open(path, "wb") as file:
        file.write(blob)
    code = os.path.getsize(__file__)
    say(f"Serialized model int8+zlib: {len(blob)} bytes")
    say(f"Code size: {code} bytes")
    say(f"Total submission size int8+zlib: {len(blob) + code} bytes")


def load(path=ARTIFACT):
    with open(path, "rb") as file:
        return json.loads(zlib.decompress(file.read()))


def score(counts):
    """Mean bits per byte of the validation split under the counts."""
    total = sum(counts)
    stream = tokens("val")
    nats = -sum(math.log(counts[token % VOCAB] / total) for token in stream) / len(stream)
    return nats, nats / math.log(2) / BYTES_PER_TOKEN


def report(nats, bpb):
    say(f"final_int8_zlib_roundtrip val_loss:{nats:.4f} val_bpb:{bpb:.4f} eval_time:10ms")
    say(f"final_int8_zlib_roundtrip_exact val_loss:{nats:.8f} val_bpb:{bpb:.8f}")
