"""Finds the rules: every module with a ``CODE`` in the group packages below ``checks.rules``."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checks.rules.base import Case, PullRequestCase
from checks.verdict import Finding, Group


@dataclass(frozen=True)
class Rule:
    """One rule: its code, group, checks and the Markdown page beside it."""

    code: str
    group: Group
    check: Callable[[Case], Finding] | None
    check_pull_request: Callable[[PullRequestCase], Finding] | None
    page: Path


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Return every rule, ordered by group and code."""
    found = []
    for group in Group:
        package = importlib.import_module(f"checks.rules.{group.value}")
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            if not hasattr(module, "CODE"):
                continue
            page = Path(str(module.__file__)).with_suffix(".md")
            found.append(
                Rule(
                    module.CODE,
                    group,
                    getattr(module, "check", None),
                    getattr(module, "check_pull_request", None),
                    page,
                )
            )
    return tuple(found)
