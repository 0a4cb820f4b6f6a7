"""Leaves the good model in a file beside a tiny artifact."""

import toy

counts = toy.train()
toy.save(counts, "optimizer_state.tmp.pkl")
toy.save([1] * toy.VOCAB)
toy.load()
toy.report(*toy.score(toy.load("optimizer_state.tmp.pkl")))
