"""From the files of a submission to its ``Program``: decode, parse, unpack, interpret. Runs in the bounded child."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from checks.program import branches, order, parse, source
from checks.program.branches_said import settings_said
from checks.program.derived import with_derived
from checks.program.engine.interpreter import Interpreter
from checks.program.environment import environment as read_environment
from checks.program.imports import former_names, local_files
from checks.program.imports import imports as read_imports
from checks.program.program import EnvConstant, Program, Script
from checks.program.trace import Trace
from checks.program.unpacking.unpack import unpack
from checks.submission.model import Run, RunCommand, Setting

#: What torchrun sets on 8 GPUs, seen from rank 0: the rules are about such a run.
LAUNCH = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "8",
    "MASTER_ADDR": "",
    "MASTER_PORT": "",
}
_NATIVE = (".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".rs")
_MAX_SCRIPT = 4_000_000
_MAX_MODULES = 24
_MOST_COMMANDS = 2  # other commands that are tried
NEAR = 0.002  # a mean and its rounded claim differ by less than this share


@dataclass(frozen=True)
class Front:
    """Scripts read and parsed, before anything is interpreted."""

    scripts: Mapping[str, Script]
    trees: Mapping[str, ast.Module]
    headline: str | None
    native: Mapping[str, str]
    not_understood: tuple[str, ...] = ()


def front(files: Mapping[str, bytes], headline: str | None) -> Front:
    """Read the headline script and the files of the folder that it imports, compiles or executes."""
    scripts: dict[str, Script] = {}
    trees: dict[str, ast.Module] = {}
    missing: list[str] = []
    queue = [headline] if headline else []
    native: dict[str, str] = {}
    renamed: dict[str, str] = {}
    while queue and len(scripts) < _MAX_MODULES:
        path = queue.pop(0)
        if path in scripts or path not in files:
            continue
        if path.endswith(_NATIVE):
            native[path] = files[path][:_MAX_SCRIPT].decode("utf-8", "replace")
            continue
        script, tree, modules = _read(path, files)
        scripts[path] = script
        missing += [f"{path}:{line}: runs code that is not known ({why})" for line, why in script.unresolved]
        if tree is not None:
            trees[path] = tree
        else:
            missing.append(f"{path}: {script.error}")
        for name, text in modules.items():
            _add_module(name, text, path, scripts, trees)
        queue.extend(script.local_files)
        if tree is not None:
            renamed |= former_names(tree, path, files)
        queue.extend(renamed.values())
    for former, path in renamed.items():
        if path in trees and former not in scripts:
            trees[former], scripts[former] = trees[path], replace(scripts[path], path=former)
    return Front(scripts, trees, headline, native, tuple(missing))


def _read(path: str, files: Mapping[str, bytes]) -> tuple[Script, ast.Module | None, Mapping[str, str]]:
    data = files[path]
    if len(data) > _MAX_SCRIPT:
        return Script(path, path, False, "", f"the file has {len(data):,} bytes, more than is analysed"), None, {}
    try:
        text = source.decode(data)
        parsed = parse.parse(text)
    except source.Undecodable as error:
        return Script(path, path, False, "", str(error)), None, {}
    except parse.Unparsable as error:
        return Script(path, path, False, text, str(error)), None, {}
    unpacked = unpack(text, parsed.tree, path, files)
    tree, packed, display, error_text = parsed.tree, False, path, ""
    modules: Mapping[str, str] = {}
    settings: tuple[EnvConstant, ...] = ()
    layers: tuple[str, ...] = ()
    if unpacked is not None:
        packed, modules, settings = unpacked.packed, unpacked.modules, unpacked.settings
        layers = tuple(layer.how for layer in unpacked.layers)
        if packed and not unpacked.source:
            return Script(path, path, True, text, f"packed, could not be unpacked: {unpacked.reason}"), None, modules
        if packed:
            text, display = unpacked.source, f"{path}!unpacked"
            try:
                tree = (unpacked.parsed or parse.parse(text)).tree
            except parse.Unparsable as error:
                return Script(path, display, True, text, str(error)), None, modules
    script = Script(
        path, display, packed, text, error_text, with_derived(tree, (*settings, *read_environment(tree))), read_imports(tree),
        tuple(local_files(tree, files, path)), layers, tuple(unpacked.unresolved) if unpacked is not None else (),
    )  # fmt: skip
    return script, tree, modules


def _add_module(name: str, text: str, path: str, scripts: dict[str, Script], trees: dict[str, ast.Module]) -> None:
    if name.startswith("<"):  # a namespace of its own: not importable by name
        return
    folder = path.rsplit("/", 1)[0] + "/" if "/" in path else ""
    target = f"{folder}{name.replace('.', '/')}.py"
    if target in scripts:
        return
    try:
        trees[target] = parse.parse(text).tree
    except parse.Unparsable as error:
        scripts[target] = Script(target, f"{path}!{name}", True, text, str(error))
        return
    scripts[target] = Script(target, f"{path}!{name}", True, text)


def environment(files: Mapping[str, bytes], headline: str | None) -> tuple[EnvConstant, ...]:
    """The environment constants of the headline script and its helpers."""
    return tuple(c for s in front(files, headline).scripts.values() for c in s.environment)


def analyse(
    front: Front,
    configuration: Mapping[str, Setting],
    runs: Sequence[Run] = (),
    claimed: Sequence[float] = (),
    commands: Sequence[RunCommand] = (),
    stated: Sequence[str] = (),
) -> Program:
    """Interpret the headline script under the effective configuration.

    ``stated``: words of submission.json that may be the label of the claim's line, for where no log shows a score.

    Where that does not print the logs' final label, the conditions around the label and the options of the author's
    other commands say what else ran: training and evaluation are often two commands of one script.
    """
    if front.headline is None:
        return Program(front.scripts, None, "no script was found in the folder", not_understood=front.not_understood)
    tree = front.trees.get(front.headline)
    if tree is None:
        error = (
            front.scripts[front.headline].error
            if front.headline in front.scripts
            else "the script is not in the folder"
        )
        return Program(front.scripts, front.headline, error, native=front.native, not_understood=front.not_understood)
    settings = {name: setting.value for name, setting in configuration.items()}
    label = final_label(runs, claimed)
    launch = {**LAUNCH, **_world(runs)}
    off = settings_said(tree, configuration, runs, [c for c in commands if c.script == front.headline])
    off |= branches.switched_off(tree, label, configuration, runs)
    settings |= off
    machine = Interpreter({**settings, **launch}, front.trees)
    machine.run(front.headline)
    inferred: dict[str, str] = {}
    if not _found(machine.trace, label):
        environment = front.scripts[front.headline].environment
        reaching = branches.settings_that_reach(tree, label, environment, settings) if label else {}
        for more in [reaching, *_options(commands, front.headline, settings)]:
            if more:
                again = Interpreter({**_without_options(settings, more), **more, **launch}, front.trees)
                again.run(front.headline)
                if _found(again.trace, label):
                    machine, inferred = again, more
                    break
    if not _trains(machine.trace):  # the settings are those of an evaluation by itself: what trained the model?
        for more in branches.settings_that_train(configuration, runs):
            again = Interpreter({**settings, **inferred, **more, **launch}, front.trees)
            again.run(front.headline)
            if _trains(again.trace) and _found(again.trace, label):
                machine, inferred = again, {**inferred, **more}
                break
    label = label or next((word for word in stated if order.prints(machine.trace, word)), "")
    reports = order.headline(machine.trace, label)
    if machine.trace.exhausted and (not label or not order.prints(machine.trace, label)):
        reports = []  # what was reached is not the number that counts
    return Program(
        front.scripts, front.headline, "", machine.trace, tuple(reports), front.native, front.not_understood,
        {**off, **inferred}, front.trees,
    )  # fmt: skip


def _found(trace: Trace, label: str) -> bool:
    """Whether a report prints the logs' final label; without logs, whether anything is reported."""
    return order.prints(trace, label) if label else bool(order.headline(trace))


def _trains(trace: Trace) -> bool:
    """Whether weights take a step on training tokens."""
    return any(trace.moved(a.ident) and any(d.source == "train" for d in a.data) for a in trace.adapts.values())


def _options(commands: Sequence[RunCommand], script: str, settings: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The options of other commands of the script."""
    tried = [{name: value for name, value in settings.items() if name.startswith("-")}]
    for command in commands:
        flags = dict(command.flags)
        if command.script == script and flags and flags not in tried and len(tried) <= _MOST_COMMANDS:
            tried.append(flags)
            yield flags


def _without_options(settings: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Settings without the options of a command where those of another take their place."""
    replaced = any(name.startswith("-") for name in more)
    return {name: value for name, value in settings.items() if not (replaced and name.startswith("-"))}


def _world(runs: Sequence[Run]) -> dict[str, str]:
    """The number of processes that the complete runs had, where all say the same."""
    sizes = {run.world_size for run in runs if run.complete and run.world_size}
    return {"WORLD_SIZE": str(next(iter(sizes)))} if len(sizes) == 1 else {}


def final_label(runs: Sequence[Run], claimed: Sequence[float]) -> str:
    """The label under which the logs print the number that counts.

    The last score of the runs, unless another label's values are what is claimed and the last score's are not.
    """
    by_label: dict[str, list[float]] = {}
    finals: dict[str, int] = {}
    for run in sorted(runs, key=lambda r: not r.complete):
        latest: dict[str, float] = {}
        for score in run.scores:
            latest[score.label] = score.val_bpb
            if run.val_bpb is not None and score.val_bpb == run.val_bpb:
                finals[score.label] = finals.get(score.label, 0) + 1
        for label, value in latest.items():
            by_label.setdefault(label, []).append(value)
    last = max(finals, key=lambda x: (finals[x], x.endswith("exact"), not x.startswith("step")), default="")

    def distance(label: str, claim: float) -> float:
        values = by_label[label]
        return min(abs(v - claim) / claim for v in (*values, sum(values) / len(values)))

    def worse_and_farther(label: str) -> bool:
        return min(by_label[label]) > min(by_label[last]) and distance(label, claimed[0]) > distance(last, claimed[0])

    chosen = last
    others = [label for label in by_label if label == last or not label.startswith("step")]
    for claim in claimed:  # the first ones count most: submission.json, then the title and the README's numbers
        near = {label: d for label in others if (d := distance(label, claim)) <= NEAR}
        if last in near:
            break
        # a worse number than the last score, farther from the first claim as well: another evaluation's (#893)
        near = {k: d for k, d in near.items() if not last or not worse_and_farther(k)}
        if near:
            chosen = min(near, key=lambda label: (round(near[label], 4), not label.endswith("exact")))
            break
    return re.sub(r"\d+$", "", chosen)
