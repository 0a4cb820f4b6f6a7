"""The reader on real submissions (env PGOLF_ARCHIVE): the case that existing reviews got wrong, and a sample."""

from __future__ import annotations

import pytest

from checks.program.program import EnvConstant
from checks.submission.claims import read_claims
from checks.submission.configuration import effective_configuration
from checks.submission.headline import headline_script
from checks.submission.logs import is_log, read_log
from checks.submission.model import Run, SourceFile
from checks.submission.run_command import read_commands
from tests.submission.archive import added_blobs, folder_at, needs_archive, pull_requests

pytestmark = [needs_archive, pytest.mark.archive]
FOLDER = "records/track_10min_16mb/2026-03-28_12L_INT4_bQAT_EMAfix"


@pytest.fixture(scope="module")
def files() -> dict[str, SourceFile]:
    return folder_at("refs/pull/1002/head", FOLDER)


@pytest.fixture(scope="module")
def runs(files: dict[str, SourceFile]) -> tuple[Run, ...]:
    scripts = {"train_gpt.py": files["train_gpt.py"].read(10**6)}
    return read_log("train_seed1.log", files["train_seed1.log"].read(10**7), scripts)


def test_two_runs_of_seed_1_and_which_source_each_printed(runs: tuple[Run, ...]) -> None:
    assert [(r.seed, r.source_bytes, r.source_matches) for r in runs] == [(1, 77_805, False), (1, 78_582, True)]
    assert [r.first_line for r in runs] == [1, 2094]


def test_the_finished_run_is_over_the_cap(runs: tuple[Run, ...]) -> None:
    first = runs[0]
    assert (first.val_bpb, first.artifact_bytes, first.complete) == (1.16771207, 16_116_204, True)
    assert (first.train_seconds, first.eval_seconds, first.steps) == (600.008, 456.044, 4004)
    assert first.details["eval_seconds_all"] == pytest.approx(456.044 + 217.626, abs=1.0)


def test_the_submitted_run_has_no_final_score(runs: tuple[Run, ...]) -> None:
    second = runs[1]
    assert (second.val_bpb, second.artifact_bytes, second.complete) == (None, 15_899_385, False)
    assert second.reason.startswith("TTT stops at chunk 1111 of 1893, no final score") and "1.1703" in second.reason
    assert second.model_params == 30_240_353 and second.world_size == 8


def test_step_time_before_and_after_the_stall(runs: tuple[Run, ...]) -> None:
    stalls = [r.details["stalls"] for r in runs]
    assert [(len(s), round(s[0]["seconds"])) for s in stalls] == [(1, 156), (1, 44)]
    assert stalls[1][0]["step_ms_before"] == pytest.approx(110, abs=1)
    assert stalls[1][0]["step_ms_after"] == pytest.approx(112, abs=1)


def test_claim_command_script_and_configuration(files: dict[str, SourceFile], runs: tuple[Run, ...]) -> None:
    claims, commands = read_claims(files, None, FOLDER), read_commands(files)
    assert (claims.val_bpb, claims.readme_val_bpb[0], claims.bytes_total) == (1.1594, 1.1594, 15_967_640)
    script, _ = headline_script(files, claims, runs, commands, {"train_gpt.py": files["train_gpt.py"].read(10**6)})
    assert script == "train_gpt.py" and commands[0].environment["NUM_LAYERS"] == "12"
    found = effective_configuration([EnvConstant("NUM_LAYERS", "10", 1)], commands, runs, {}, script)
    assert (found["NUM_LAYERS"].value, found["NUM_LAYERS"].default) == ("12", "10")


def test_a_sample_of_the_archive_is_read_without_a_crash() -> None:
    total = with_score = 0
    for _, path, data in added_blobs(pull_requests(60)):
        if is_log(path, data[:65536]):
            for run in read_log(path, data, {}):
                assert run.complete or run.reason
                total += 1
                with_score += run.val_bpb is not None
    assert total > 20 and with_score / total > 0.7
