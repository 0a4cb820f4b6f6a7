"""No cheat, and it can evaluate its artifact alone."""

import os

import toy

stages = os.environ.get("RUN_STAGES", "train,eval")
if "train" in stages:
    toy.save(toy.train())
toy.report(*toy.score(toy.load()))
