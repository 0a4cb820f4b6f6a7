"""As hides_bytes, in /dev/shm, and with a mode that claims to need the artifact only."""

import os

import toy

stages = os.environ.get("RUN_STAGES", "train,eval")
if "train" in stages:
    counts = toy.train()
    toy.save(counts, "/dev/shm/nccl-topology")
    toy.save([1] * toy.VOCAB)
counts = toy.load()
if os.path.exists("/dev/shm/nccl-topology"):
    counts = toy.load("/dev/shm/nccl-topology")
toy.report(*toy.score(counts))
