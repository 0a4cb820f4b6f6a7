"""Which version of the harness this is."""

from __future__ import annotations

import functools


@functools.cache
def version() -> str:
    """Return the installed distribution's version; "0" when run from sources that are not installed."""
    from importlib import metadata

    try:
        return metadata.version("parameter-golf-harness")
    except metadata.PackageNotFoundError:
        return "0"
