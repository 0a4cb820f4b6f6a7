"""``pgolf rules``: list the rulebook, or print the page of one rule."""

from __future__ import annotations

import click

from harness.errors import UsageFault


@click.command("rules")
@click.argument("rule", required=False)
def command(rule: str | None) -> int:
    """List the rules with group, severity, date and sources, or explain RULE.

    The page of a rule says why it exists, what it looks for, and shows violating and legal code.
    """
    click.echo(_page(rule) if rule else _table())
    return 0


def _table() -> str:
    from tabulate import tabulate

    from checks import rulebook
    from checks.rules.registry import rules

    book = rulebook.load()
    rows = []
    for rule in rules():
        entry = book.rule(rule.code)
        sources = ", ".join(entry.sources[:3]) + (", …" if len(entry.sources) > 3 else "")
        rows.append((rule.code, rule.group.value, severity(entry.authority), entry.since.isoformat(), sources))
    table = tabulate(rows, headers=("rule", "group", "severity", "since", "sources"), tablefmt="simple")
    return f"{table}\n\n{book.name} rulebook, version {book.version}. `pgolf rules RULE` explains one."


def severity(authority: str) -> str:
    """Return what a breach counts as: a rule of the README or a ruling fails, the community's own warns."""
    return f"fail ({authority})" if authority in ("readme", "ruling") else f"fail or warn ({authority})"


def _page(code: str) -> str:
    from checks import rulebook
    from checks.rules.registry import rules

    found = next((r for r in rules() if r.code == code), None)
    if found is None:
        raise UsageFault(f"there is no rule {code!r}: `pgolf rules` lists them")
    entry = rulebook.load().rule(code)
    head = [
        f"{code}: {entry.title}",
        f"group {found.group.value}; {severity(entry.authority)}; binds from {entry.since}",
        f"sources: {', '.join(entry.sources)}",
    ]
    numbers = [f"  {name} = {value}" for name, value in entry.numbers.items()]
    if numbers:
        head += ["numbers:", *numbers]
    page = found.page.read_text(encoding="utf-8").strip() if found.page.is_file() else "(this rule has no page yet)"
    return "\n".join(head) + "\n\n" + page
