"""Writes a small artifact and evaluates the model that it still has in memory."""

import toy

counts = toy.train()
toy.save([count // 1000 + 1 for count in counts])
toy.report(*toy.score(counts))
