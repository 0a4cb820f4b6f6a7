"""Says that training stopped, then goes on with the shards before it writes the artifact."""

import time

import toy

counts = toy.train(seconds=0.3)
toy.say("stopping_early: wallclock_cap train_time:300ms step:4/4")
until = time.monotonic() + 1.5
while time.monotonic() < until:
    for token in toy.tokens("train"):
        counts[token % toy.VOCAB] += 1
toy.save(counts)
toy.report(*toy.score(toy.load()))
