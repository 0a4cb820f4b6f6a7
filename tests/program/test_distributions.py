"""Formulas of scores: what is a distribution over the vocabulary, and what is none."""

from __future__ import annotations

from checks.program.engine.forms import Form, leaf, node, number
from checks.program.engine.normalisation import breaks

TOKEN = Form("tok", detail=1)


def made(op: str, *parts: Form, detail: object = None) -> Form:
    form = node(op, *parts, detail=detail, place=("train.py", 1))
    assert form is not None
    return form


def entry(row: Form) -> Form:
    return made("gather", row, TOKEN)


def rows() -> tuple[Form, Form, Form]:
    """Two softmaxes and a weight."""
    return made("soft", leaf("row")), made("soft", leaf("row")), made("fn", leaf("scalar"), detail=("sigmoid",))


def log(form: Form) -> Form:
    return made("fn", form, detail=("log",))


def mixed(p: Form, q: Form, of_p: Form, of_q: Form) -> Form:
    return log(entry(made("bin", made("bin", of_p, p, detail="*"), made("bin", of_q, q, detail="*"), detail="+")))


def test_weights_that_sum_to_one() -> None:
    p, q, a = rows()
    assert breaks(mixed(p, q, made("bin", number(1.0), a, detail="-"), a)) is None


def test_an_expert_added_whole() -> None:
    p, q, a = rows()
    found = breaks(mixed(p, q, number(1.0), a))
    assert found is not None
    assert found.kind == "mixture"


def test_powers_need_their_sum() -> None:
    p, _, _ = rows()
    powers = made("bin", p, number(1.5), detail="**")
    assert breaks(log(entry(made("bin", powers, made("sum", powers), detail="/")))) is None
    assert breaks(log(entry(made("bin", powers, made("amax", powers), detail="/")))) is not None


def test_the_better_of_two_is_a_selection() -> None:
    p, q, _ = rows()
    better = made("cmp", entry(p), entry(q), detail=">")
    found = breaks(log(made("where", better, entry(p), entry(q))))
    assert found is not None
    assert found.kind == "selection"


def test_a_choice_by_the_context_is_none() -> None:
    p, q, _ = rows()
    sure = made("cmp", made("amax", p), number(0.5), detail=">")
    assert breaks(log(made("where", sure, entry(p), entry(q)))) is None


def test_an_entry_alone_is_a_distribution() -> None:
    p, _, _ = rows()
    assert breaks(log(entry(p))) is None
