"""val-training: the model that is scored never trained on validation tokens in its training loop."""

from __future__ import annotations

import re

from checks.program.engine.labels import Flag
from checks.program.trace import AdaptEvent, Trace
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Evidence, Finding, Group

CODE = "val-training"
_VAL_ONLY = re.compile(r"val[-_ ]?only|valonly|train(?:ing)? on (?:the )?val", re.I)
_VAL_FILES = re.compile(r"fineweb_val|(?:^|/)val[_*]")
_LINK = re.compile(r"ln\s+-s\w*\s+\S*fineweb_val\S*\s+\S*fineweb_train", re.I)
_ADMITS = re.compile(
    r"val(?:idation)?[- ]only training\b|\btrain(?:ed|ing)?(?: data pointed)? (?:only )?(?:on|at) (?:the )?"
    r"val(?:idation)? (?:shard|split)\b",
    re.I,
)
_DENIES = re.compile(r"\b(?:no|not|non|never|without|instead|unlike|legal|illegal|allowed)\b|n't\b", re.I)
_README_BYTES = 200_000


def check(case: Case) -> Finding:
    """Check the data of the training loop: in the code, in the run command's values and in the log."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trained = training_on_val(case)
    clears = "Train on fineweb_train_* only, as if validation did not exist."
    if trained:
        rows: list[Evidence] = []
        for event in trained[:3]:
            rows.append(program.evidence(event.place, "trains on validation tokens", "adapt"))
            rows += [program.at(*call, "calls the training step") for call in event.place.calls[1:][-2:]]
        rows += [ordering.report_row(program, r) for r in program.reports]
        return _by_date(case, say, "The training loop takes steps on validation tokens.", ordering.unique(rows), clears)
    chosen = ordering.chosen(program)
    # what the evaluation itself fits, wherever it is called, is val-calibration
    after = {(row.file, row.line) for _, during, row in chosen if not during}
    selected = [row for _, during, row in chosen if during and (row.file, row.line) not in after]
    if selected:
        rows = ordering.unique([*selected, *(ordering.report_row(program, r) for r in program.reports)])
        return _by_date(case, say, "Weights are chosen during training by their validation loss.", rows, clears)
    told = _told(case)
    if told:
        return _by_date(case, say, "The README or the log shows training on the validation split.", told, clears)
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    return say.passed("The training loop takes no step on validation tokens.")


def _by_date(case: Case, say: Verdicts, summary: str, rows: list[Evidence], clears: str) -> Finding:
    if case.rulebook.in_force(CODE, case.created):
        return say.fail(summary, rows, clears)
    return say.warn(f"{summary} The rule was not yet written down on the day of the pull request.", rows, clears)


def training_on_val(case: Case) -> list[AdaptEvent]:
    """Gradient steps of the training loop that used validation tokens.

    A step belongs to training when its line also steps on training tokens. Where nothing steps on training tokens at all,
    it does when the settings name validation files as training data, or when it makes new weights that are then exported.
    """
    trace = case.program.trace
    if trace is None:
        return []
    gradients = [a for a in trace.adapts.values() if a.kind in ("gradient", "inplace")]
    train_lines = {(a.place.file, a.place.line) for a in gradients if any(d.source == "train" for d in a.data)}
    used = {i for s in ordering.headline_scores(case.program) for i in s.state}
    on_val = [a for a in gradients if any(d.source == "val" for d in a.data) and a.ident in used]
    scored = {loop for s in ordering.headline_scores(case.program) for loop, _ in s.loops}
    if train_lines:
        replay = [
            a for a in on_val if scored & {loop for loop, _ in a.loops}
        ]  # of train-data-at-eval, not of this rule
        return [a for a in on_val if (a.place.file, a.place.line) in train_lines and a not in replay]
    settings = case.submission.configuration
    if any(name.startswith("TRAIN") and _VAL_FILES.search(settings[name].value) for name in settings):
        return on_val
    return [a for a in on_val if _exported(a, trace) or _makes_weights(a, trace)]


def _exported(event: AdaptEvent, trace: Trace) -> bool:
    """Whether a step changed weights, not read from a file, that the script then writes to one."""
    restored = any(isinstance(x, Flag) and x.name == "restored" for i in event.losses for x in trace.scores[i].used)
    return event.ident in trace.saved and not restored


def _makes_weights(event: AdaptEvent, trace: Trace) -> bool:
    """Whether a step fits weights that come from no file, in a loop that reports validation, before a file is written."""
    fitted = [trace.scores[i] for i in event.losses]
    read = any(isinstance(x, Flag) and x.name == "artifact" for s in fitted for x in s.used)
    loops = {loop for loop, _ in event.loops}
    validates = any(loops & {loop for loop, _ in r.loops} for r in trace.reports)
    exports = any(c.name in ("open-write", "save-file") and c.at > event.at for c in trace.calls)
    return bool(fitted) and not read and validates and exports


def _told(case: Case) -> list[Evidence]:
    rows = []
    readme = next((f for p, f in case.submission.files.items() if p.lower() == "readme.md"), None)
    if readme is not None:
        text = readme.read(_README_BYTES).decode("utf-8", "replace")
        what = "names a validation shard as training data"
        for number, row in enumerate(text.splitlines(), 1):
            if _LINK.search(row):
                rows.append(Evidence(readme.path, number, number, "", what, row[:200], "source"))
            elif _ADMITS.search(row[:2000]) and not _DENIES.search(row[:2000]):
                rows.append(Evidence(readme.path, number, number, "", "says so", row[:200], "source"))
    for run in case.submission.runs:
        dataset = str(run.settings.get("dataset", run.settings.get("train_loader_dataset", "")))
        if _VAL_ONLY.search(dataset):
            line = run.lines.get("train_shards", run.first_line)
            rows.append(Evidence(run.log, line, line, "", f"the training data set is {dataset}", "", "source"))
    return rows[:6]
