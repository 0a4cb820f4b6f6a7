"""The headline script is the one that log, README and submission.json point to, never the first of the alphabet."""

from __future__ import annotations

from checks.submission.claims import read_claims
from checks.submission.headline import headline_script
from checks.submission.logs import read_log
from checks.submission.run_command import read_commands
from tests.submission import log_samples as sample
from tests.submission.files import folder

OTHER = sample.SOURCE.replace("1337", "7") + "# a longer script\n" * 50


def choose(contents: dict[str, str]) -> tuple[str | None, str]:
    files = folder(contents)
    sources = {p: f.read(10**6) for p, f in files.items() if p.endswith(".py")}
    runs = [r for p, f in files.items() if p.endswith(".log") for r in read_log(p, f.read(10**6), sources)]
    return headline_script(files, read_claims(files, None, "x"), runs, read_commands(files), sources)


def test_no_script_and_one_script() -> None:
    assert choose({"README.md": "x"})[0] is None
    assert choose({"model_v3.py": sample.SOURCE}) == ("model_v3.py", "the only script")


def test_source_in_the_log_decides() -> None:
    path, why = choose({"a_train.py": OTHER, "train_gpt_v2.py": sample.SOURCE, "train.log": sample.BASELINE})
    assert path == "train_gpt_v2.py" and "train.log" in why


def test_readme_command_decides() -> None:
    readme = "## Run\n```\ntorchrun --nproc_per_node=8 train_new.py\n```\n"
    path, why = choose({"a_train.py": OTHER, "train_new.py": sample.SOURCE, "README.md": readme})
    assert path == "train_new.py" and "README.md:3" in why


def test_code_size_in_the_log_decides() -> None:
    size = len(OTHER.encode())
    log = "seed:1\nworld_size:8\n" + sample.training() + sample.export(code=size) + sample.ROUNDTRIP
    assert choose({"a.py": sample.SOURCE, "b_train.py": OTHER, "train.log": log})[0] == "b_train.py"


def test_submission_json_size_decides() -> None:
    data = f'{{"val_bpb": 1.1, "bytes_code": {len(OTHER.encode())}}}'
    assert choose({"a_train.py": sample.SOURCE, "b_train.py": OTHER, "submission.json": data})[0] == "b_train.py"


def test_helpers_and_older_folders_are_no_headline() -> None:
    assert (
        choose({"eval_utils.py": OTHER, "prepare_data.py": OTHER, "train_gpt.py": sample.SOURCE})[0] == "train_gpt.py"
    )
    assert choose({"ablations/train_gpt.py": OTHER, "train_gpt_final.py": sample.SOURCE})[0] == "train_gpt_final.py"


def test_many_logs_make_a_short_reason() -> None:
    logs = {f"train_seed{i}.log": sample.BASELINE.replace("seed:42", f"seed:{i}") for i in range(9)}
    _, why = choose({"a.py": OTHER, "train_gpt.py": sample.SOURCE, **logs})
    assert "9 logs" in why and len(why) < 200


def test_evaluation_that_follows_makes_a_claim_below_the_logs() -> None:
    readme = "## Run\n```\ntorchrun --nproc_per_node=8 train_gpt.py\n```\n```\nLIMIT=9 torchrun eval_late.py\n```\n"
    late = 'import train_gpt\nprint(f"val_bpb:{train_gpt.evaluate()}")\n'
    files = {"train_gpt.py": sample.SOURCE, "eval_late.py": late, "README.md": readme, "train.log": sample.BASELINE}
    path, why = choose({**files, "submission.json": '{"val_bpb": 0.9}'})
    assert path == "eval_late.py" and "README.md:6" in why
    assert choose({**files, "submission.json": '{"val_bpb": 1.3}'})[0] == "train_gpt.py"


def test_the_first_command_prepares_data_and_the_packed_script_makes_the_claim() -> None:
    prepare = "import sentencepiece\nopen('val.bin', 'wb').write(b'tokens of the documents')\n" * 40
    packed = "import lzma, base64\nexec(lzma.decompress(base64.b85decode('...')))\n"
    readme = "## Reproduction\n```\npython3 prepare_data.py --out data\nbash run_pod.sh 42\n```\n"
    assert choose({"prepare_data.py": prepare, "train_gpt.py": packed, "README.md": readme})[0] == "train_gpt.py"
    late = readme + "```\ntorchrun --nproc_per_node=8 train_new.py\n```\n"
    files = {"make_shards.py": prepare, "train_new.py": sample.SOURCE, "train_gpt_old.py": OTHER}
    path, why = choose({**files, "README.md": late.replace("prepare_data", "make_shards")})
    assert path == "train_new.py" and "README.md:7" in why
    assert choose({"prepare_data.py": prepare, "count.py": "print(1)\n", "README.md": readme})[0] == "prepare_data.py"


def test_a_smoke_test_by_another_script_is_no_headline() -> None:
    readme = "## Smoke test\n```\npython3 tiny.py\n```\nFor the real run see run.sh.\n"
    files = {
        "tiny.py": "import train_gpt\nprint(train_gpt.bpb())\n",
        "train_gpt.py": sample.SOURCE,
        "README.md": readme,
    }
    assert choose({**files, "run.sh": "torchrun --nproc_per_node=8 train_gpt.py\n"})[0] == "train_gpt.py"
    assert choose({**files, "README.md": readme.replace("Smoke test", "Run")})[0] == "tiny.py"


def test_a_script_that_only_starts_another_one_is_a_run() -> None:
    stub = 'from train_gpt_human import main\n\nif __name__ == "__main__":\n    main()\n'
    files = {"train_gpt.py": stub, "train_gpt_human.py": sample.SOURCE, "README.md": "```\npython train_gpt.py\n```\n"}
    path, why = choose(files)
    assert path == "train_gpt.py" and "README.md:2" in why
