"""Evaluates, then adapts to training shards that it opens after the artifact is written."""

import toy

toy.save(toy.train())
counts = toy.load()
for token in toy.tokens("train"):
    counts[token % toy.VOCAB] += 1
toy.report(*toy.score(counts))
