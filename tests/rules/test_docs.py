"""docs/rules is what the pages and the rulebook make it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "rules.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_rules", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_docs_have_not_drifted(script: ModuleType) -> None:
    assert script.drifted() == [], "run python docs/rules.py"


def test_drift_is_seen(script: ModuleType, tmp_path: Path) -> None:
    for name, text in script.render().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert script.drifted(tmp_path) == []
    (tmp_path / "seeds.md").write_text("other", encoding="utf-8")
    (tmp_path / "gone.md").write_text("no rule", encoding="utf-8")
    assert script.drifted(tmp_path) == ["gone.md", "seeds.md"]
