"""Runs hostile programs: no network, read-only inputs, one capped writable folder, limits, and nothing left afterwards.

``supervise(provider, confinement, log, observer)`` is the whole interface; providers are ``Bubblewrap`` (the
default), ``Container`` and, for a user's own code only, ``Unconfined``. Every provider has to pass
``tests/sandbox/test_provider.py``.
"""

from harness.sandbox.bubblewrap import Bubblewrap
from harness.sandbox.confinement import WORKSPACE, Bind, Blame, Confinement, Limits, RunnerError, Stop
from harness.sandbox.container import Container
from harness.sandbox.inotify import Action, FileEvent
from harness.sandbox.supervisor import Confined, Ending, Observer, Provider, supervise
from harness.sandbox.unconfined import Unconfined

__all__ = [
    "WORKSPACE",
    "Action",
    "Bind",
    "Blame",
    "Bubblewrap",
    "Confined",
    "Confinement",
    "Container",
    "Ending",
    "FileEvent",
    "Limits",
    "Observer",
    "Provider",
    "RunnerError",
    "Stop",
    "Unconfined",
    "supervise",
]
