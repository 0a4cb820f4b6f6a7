"""No cheat: trains, writes the artifact, reads it back, evaluates it. Cannot evaluate alone."""

import toy

toy.save(toy.train())
toy.report(*toy.score(toy.load()))
