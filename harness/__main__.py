"""``python -m harness`` is ``pgolf``."""

from harness.cli import main

main()
