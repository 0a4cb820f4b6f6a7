"""Rules that the mutants of the order must fail, and the loop that fits a model to a stream."""

EARLY = ("ttt-adapt-before-score", "val-training")
AGAIN = ("two-pass-rescore",)
EARLY_OR_AGAIN = (*EARLY, *AGAIN)

FIT_ALL = """\
    for lo in range(0, {n} - 1025, 1024):
        {opt}.zero_grad()
        {loss}.backward()
        {opt}.step()
"""
