"""The documentation: links lead somewhere, examples are what the program takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from checks.rules.registry import rules
from harness import config
from harness.cli import COMMANDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CODES = {rule.code for rule in rules()}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for address in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not address.startswith(("http", "#", "data:")):
            assert (page.parent / address.partition("#")[0]).exists(), address


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_exist(page: Path) -> None:
    for name in re.findall(r"^pgolf ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert name in COMMANDS


def test_configuration_example_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', example)) & CODES
    assert named
    path = tmp_path / config.FILENAME
    path.write_text(example, encoding="utf-8")
    assert config.load(path, CODES).waivers[0].pr == 1234


def test_rule_example_compiles() -> None:
    text = (ROOT / "docs" / "adding-a-rule.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert "my-rule" in tomllib.loads(entry)["rules"]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(code, "my_rule.py", "exec"), namespace)
    assert namespace["CODE"] == "my-rule"


def test_tutorial_names_rules_that_exist() -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for code in re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE):
        assert code in CODES, code
