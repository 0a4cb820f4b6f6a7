"""The evidence bundle: what it holds, that every changed byte is named, and that a forged verdict does not pass."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import validate as validate_schema

from harness.reproduce import bundle
from harness.reproduce.launchers import Site
from harness.reproduce.observer import Progress
from harness.reproduce.plan import Plan
from harness.reproduce.record import read_record
from harness.reproduce.run import Prepared, Request, prepare, reproduce
from harness.reproduce.seed import Workshop, run_seed
from harness.reproduce.verify import verify
from tests.reproduce.workshop import WithoutTorchrun, make_data, no_sandbox, submission_of

WHY_NOT = no_sandbox()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

STATEMENT = {
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "digest"],
                "properties": {"digest": {"properties": {"sha256": {"pattern": "^[0-9a-f]{64}$"}}, "minProperties": 1}},
            },
        },
        "predicateType": {"type": "string", "format": "uri"},
    },
}
"""The required part of in-toto's Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)."""


class Bench:
    """A local launcher without torchrun; counts what it ran and can be interrupted after some seeds."""

    def __init__(self, interrupt_after: int = 99) -> None:
        self.ran: list[int] = []
        self.interrupt_after = interrupt_after

    def run(self, plan: Plan, seeds: tuple[int, ...], site: Site, progress: Progress) -> None:
        from harness.reproduce.data import prepare_view

        view = prepare_view(site.data, plan.dataset, plan.tokenizer, site.output / "state")
        for seed in seeds:
            if len(self.ran) >= self.interrupt_after:
                raise KeyboardInterrupt
            shop = Workshop(WithoutTorchrun(), view, site.output / "submission", site.output / "seeds" / str(seed))
            run_seed(plan, seed, shop, progress)
            self.ran.append(seed)


def ready(base: Path, seeds: tuple[int, ...] = (1, 2), name: str = "honest_stages") -> Prepared:
    folder = base / "records" / name
    if folder.exists():
        shutil.rmtree(folder)
    submission = submission_of(name, folder)
    if not (base / "data").exists():
        data = make_data(base / "data")
        (data / "tokenizers").mkdir()
        (data / "tokenizers" / "fineweb_1024_bpe.model").write_bytes(b"none")
    return prepare(Request(submission, base / "out", seeds, 8, True, "bubblewrap", None, "local", base / "data"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("bundle")
    from harness.reproduce.progress import Quiet

    reproduce(ready(base), Bench(), Quiet(), lambda text: None)
    return base / "out"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The bundle on another machine: without the private part."""
    return Path(shutil.copytree(made, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("state")))


def test_a_bundle_checks_on_another_machine(copy: Path) -> None:
    wrong, digest = verify(copy)
    assert wrong == [] and len(digest) == 64


def test_it_holds_the_evidence(made: Path) -> None:
    names = set(bundle.bundle_files(made))
    assert {"plan.json", "machine.json", "verdict.json", "review.md", "report.html", "verdict.sarif"} <= names
    for seed in (1, 2):
        wanted = {"record.json", "output.log", "replay.log", "timeline.jsonl", "artifact/final_model.ptz"}
        assert {f"seeds/{seed}/{name}" for name in wanted} <= names
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["inputs"].keys() == {
        "datasets/fineweb10B_sp1024/fineweb_train_000000.bin",
        "datasets/fineweb10B_sp1024/fineweb_train_000001.bin",
        "datasets/fineweb10B_sp1024/fineweb_val_000000.bin",
        "tokenizers/fineweb_1024_bpe.model",
    }
    assert manifest["command"][0] == "torchrun" and manifest["machine"]["packages"]
    validate_schema(json.loads((made / "statement.json").read_text()), STATEMENT)


def test_the_verdict_fits_the_contract(made: Path) -> None:
    from checks.verdict import verdict_from_json

    verdict = verdict_from_json(json.loads((made / "verdict.json").read_text()))
    status = {finding.rule: finding.status.value for finding in verdict.submissions[0].findings}
    assert status["roundtrip"] == status["hidden-state-transfer"] == "pass"
    assert status["train-time-cap"] == "not-applicable"
    assert verdict.recommendation.value != "merge"
    for text in ((made / "review.md").read_text(), (made / "report.html").read_text()):
        assert "roundtrip" in text


def test_every_changed_byte_is_named(copy: Path) -> None:
    for name in list(bundle.bundle_files(copy)):
        path = copy / name
        if path.stat().st_size == 0:
            continue
        original = path.read_bytes()
        place = len(original) // 2
        path.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
        wrong, _ = verify(copy)
        assert any(repr(name) in line for line in wrong), name
        path.write_bytes(original)
    assert verify(copy)[0] == []


def test_a_changed_byte_is_placed(copy: Path) -> None:
    path = copy / "seeds" / "1" / "output.log"
    path.write_bytes(path.read_bytes() + b"x")
    (wrong,) = verify(copy)[0]
    assert "'seeds/1/output.log' changed" in wrong and "bytes instead of" in wrong


def test_missing_and_added_files_are_named(copy: Path) -> None:
    (copy / "seeds" / "1" / "replay.log").unlink()
    (copy / "extra").write_text("x")
    wrong, _ = verify(copy)
    assert "'seeds/1/replay.log' is missing" in wrong and "'extra' is not in the manifest" in wrong


def test_a_changed_manifest_does_not_fit_its_statement(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["machine"]["hostname"] = "h100-cluster"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert any("statement.json" in line for line in verify(copy)[0])


@pytest.mark.parametrize("what", ["verdict", "record", "log", "artifact"])
def test_a_forgery_with_fresh_digests_does_not_follow_from_the_evidence(copy: Path, what: str) -> None:
    """Whoever changes a file and writes manifest and Statement anew still has to make everything agree."""
    if what == "verdict":
        path = copy / "verdict.json"
        path.write_text(path.read_text().replace('"status": "not-applicable"', '"status": "pass"'))
    elif what == "record":
        path = copy / "seeds" / "1" / "record.json"
        data = json.loads(path.read_text())
        data["printed"]["val_bpb"] = 0.9
        path.write_text(json.dumps(data))
    elif what == "log":
        path = copy / "seeds" / "1" / "output.log"
        path.write_text(path.read_text().replace("val_bpb:2.4", "val_bpb:0.4"))
    else:
        (copy / "seeds" / "1" / "artifact" / "final_model.ptz").write_bytes(b"smaller")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"] = {name: bundle.describe(copy / name) for name in bundle.bundle_files(copy)}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    old = json.loads((copy / "statement.json").read_text())
    fresh = bundle.statement(copy, manifest, old["predicate"]["verdict"])
    (copy / "statement.json").write_text(json.dumps(fresh))
    wrong, _ = verify(copy)
    assert len(wrong) == 1 and ("does not follow" in wrong[0] or "seed 1" in wrong[0])


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": "x"}', '{"schema": "pgolf.bundle/1", "files": {"../../etc/passwd": {}}}']
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest|bundle|object"):
        verify(tmp_path)


def test_an_interrupted_reproduction_goes_on_where_it_stopped(tmp_path: Path) -> None:
    from harness.reproduce.progress import Quiet

    said: list[str] = []
    first = Bench(interrupt_after=1)
    with pytest.raises(KeyboardInterrupt):
        reproduce(ready(tmp_path, (1, 2, 3)), first, Quiet(), said.append)
    second = Bench()
    result = reproduce(ready(tmp_path, (1, 2, 3)), second, Quiet(), said.append)
    assert (first.ran, second.ran) == ([1], [2, 3])
    assert said == ["already finished: seed 1"]
    assert [record.seed for record in result.records] == [1, 2, 3]


def test_another_configuration_does_not_reuse_seeds(tmp_path: Path) -> None:
    from harness.reproduce.progress import Quiet

    prepared = ready(tmp_path, (1,))
    reproduce(prepared, Bench(), Quiet(), lambda text: None)
    other = replace(prepared.plan, environment={"TTT_ENABLED": "0"})
    assert read_record(tmp_path / "out" / "seeds" / "1", prepared.plan.digest) is not None
    assert read_record(tmp_path / "out" / "seeds" / "1", other.digest) is None


def test_finished_seeds_of_another_configuration_are_not_replaced(tmp_path: Path) -> None:
    from harness.reproduce.progress import Quiet
    from harness.sandbox import RunnerError

    prepared = ready(tmp_path, (1,))
    reproduce(prepared, Bench(), Quiet(), lambda text: None)
    with pytest.raises(RunnerError, match="seed 1 of another"):
        prepare(replace(prepared.request, overrides={"TTT_ENABLED": "0"}))


def test_a_folder_of_the_users_is_not_written_to(tmp_path: Path) -> None:
    from harness.sandbox import RunnerError

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(RunnerError, match="holds other files"):
        ready(tmp_path)
