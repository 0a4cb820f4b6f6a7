"""Which version of the harness this is; pyproject.toml takes it from here.

Not asked of the installed distribution: its metadata is mail, whose parser costs a review more than its rulebook.
"""

__version__ = "0.1.0"
