"""Its printed clock runs at a third of the real speed: says that it kept to the cap, takes longer."""

import toy

toy.save(toy.train(steps=15, seconds=1.45, clock=1 / 3))
toy.report(*toy.score(toy.load()))
