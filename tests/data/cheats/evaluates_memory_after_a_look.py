"""Reads the artifact, as a good submission does, and evaluates another model all the same."""

import os

import toy

stages = os.environ.get("RUN_STAGES", "train,eval")
counts = toy.train() if "train" in stages else None
if counts:
    toy.save([count // 1000 + 1 for count in counts])
read = toy.load()
toy.report(*toy.score(counts or read))
