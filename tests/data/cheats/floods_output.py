"""Prints two gigabytes."""

import sys

for _ in range(2000):
    sys.stdout.write("x" * 999 + "\n" + "y" * (1_000_000 - 1000) + "\n")
