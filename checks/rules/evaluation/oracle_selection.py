"""oracle-selection: which scorer counts for a token is fixed before the token is read."""

from __future__ import annotations

import ast

from checks.program.nodes import nodes
from checks.program.program import Program
from checks.program.trace import BlendEvent, Place, Trace
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Finding, Group

CODE = "oracle-selection"
_PER_TOKEN = "Per token, the scorer with the lower loss on the true token is the one that counts."
_TOTALS = "The reported val_bpb is the smaller of several evaluations: their losses on the true tokens decide which one counts."


def check(case: Case) -> Finding:
    """Look for minima and choices between losses on the true token that the headline depends on."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trace = program.trace
    if trace is not None:
        scores = {s.ident: s for s in ordering.headline_scores(program)}
        rescored = {b.score.ident for b in ordering.found(program)}
        passes = ordering.best_of_passes(program)  # two-pass-rescore
        rows = []
        totals = True
        for blend in trace.blends:
            if blend.kind not in ("minimum", "select") or blend.place in passes or _log_of_sum(program, blend.place):
                continue
            involved = ({blend.result} if blend.result >= 0 else blend.scores) & scores.keys()
            if not involved or blend.scores & rescored:
                continue
            if any(d.source == "val" for i in involved for d in scores[i].targets):
                totals = totals and _of_totals(trace, blend)
                rows.append(
                    program.evidence(blend.place, "keeps the scorer with the smaller loss on the true token", "score")
                )
                rows += [program.at(*call, "calls the selection") for call in blend.place.calls[1:][-2:]]
        favoured = [
            program.at(file, line, "keeps what gives the true token more probability", "score")
            for file, line in ordering.no_distributions(program, "selection")
        ]
        rows += favoured
        if rows:
            rows += [ordering.report_row(program, r) for r in program.reports]
            return say.fail(
                _TOTALS if totals and not favoured else _PER_TOKEN,
                ordering.unique(rows),
                "Fix the choice or the weights before the token is read, e.g. by the model's entropy or past losses.",
            )
    unknown = ordering.undecidable(case, say) or ordering.unread(case, say)
    if unknown is not None:
        return unknown
    return say.passed("No score is chosen by comparing losses on the true token.")


def _of_totals(trace: Trace, blend: BlendEvent) -> bool:
    """Whether losses are compared after the loops in which they were summed, not token by token inside."""
    running = {loop for loop, _ in trace.scores[blend.result].loops} if blend.result >= 0 else set()
    return blend.result >= 0 and all({loop for loop, _ in trace.scores[i].loops} - running for i in blend.scores)


def _log_of_sum(program: Program, place: Place) -> bool:
    """Whether a maximum is only taken out of a sum of exponentials: ``m + log(exp(a - m) + exp(b - m))``."""
    tree = program.trees.get(place.file)
    statements = [n for n in nodes(tree) if isinstance(n, (ast.Assign, ast.Return))] if tree is not None else []
    here = [n for n in statements if n.lineno <= place.line <= (n.end_lineno or 0)]
    names = {t.id for n in here if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    sums = [n for n in statements if n.value is not None and _logs_exponentials(n.value)]
    return any(n in here or names & {x.id for x in ast.walk(n) if isinstance(x, ast.Name)} for n in sums if n.value)


def _logs_exponentials(node: ast.expr) -> bool:
    """``… + log(… exp(x - y) …)``, by any name that ends so."""
    added = [
        side
        for n in ast.walk(node)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add)
        for side in (n.left, n.right)
    ]
    logs = [n for n in added if isinstance(n, ast.Call) and _word(n.func) in ("log", "log1p", "log2")]
    return any(isinstance(n, ast.Call) and _word(n.func) in ("exp", "exp2") for log in logs for n in ast.walk(log))


def _word(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
