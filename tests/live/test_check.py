"""``scorehost check``: step by step, and where it stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import Ended, environment, run
from support.processes import alive, in_session
from support.server import SCRIPTS, fill
from support.wait import wait_until

Check = Callable[..., Ended]
STEPS = ["read", "import", "signature", "models", "init()", "swagger", "run", "encode"]
OURS = "scorehost" + os.sep


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a script in an app root of its own."""

    def call(
        script: str, *arguments: str, sample: str | bytes | None = "{}", **settings: str
    ) -> Ended:
        source = next(SCRIPTS.glob(f"*/{script}"))
        shutil.copy(source, tmp_path / script)
        words = [script, *arguments]
        if sample is not None:
            fill(tmp_path, {"sample.json": sample})
            words += ["--sample", "sample.json"]
        return run(tmp_path, "check", *words, **settings)

    return call


def failed(ended: Ended) -> dict[str, Any]:
    """The data of a check that failed, held to what every one owes."""
    assert ended.status == 3, ended
    data = ended.json()
    assert data["ok"] is False
    assert data["stage"] == data["report"]["stage"]
    assert [step["state"] for step in data["steps"]][-1] == "failed"
    frames = data["report"]["frames"] + data["report"]["stacks"].splitlines()
    assert not [frame for frame in frames if OURS in str(frame)]
    return dict(data)


def states(ended: Ended) -> dict[str, str]:
    return {step["step"]: step["state"] for step in ended.json()["steps"]}


# -- what goes well -----------------------------------------------------------------------


def test_a_script_that_is_fit(check: Check, tmp_path: Path) -> None:
    """Every step in its order, and between them what the script printed."""
    ended = check("tells.py", sample='{"a": 1}')

    root = re.escape(str(tmp_path))
    expected = rf"""✓ read         {root}/tells.py
  │ importing
✓ import
✓ signatures   init\(\); run\(data\) gets the body as text
✓ models       none in {root}/azureml-models
  │ in init
  │ in init, on stderr
  │ in init, from below
✓ init\(\)
✓ swagger      versions 2, 3, 3\.1
               generic: the parameter data of run\(\) has no type hint\. .*
  │ in run, without a line's end
✓ run\(sample\)  {root}/sample\.json, run\(\) took \d+\.\d ms
✓ encode       200 application/json, \d+ bytes: \{{"got":"\{{\\"a\\": 1\}}","stdin":""\}}

tells\.py is ready to serve; the sample was answered\.
"""
    assert re.fullmatch(expected, re.sub(r" \(\d+\.\d s\)$", "", ended.out, flags=re.M)), ended.out
    assert (ended.status, ended.err) == (0, "")


def test_the_same_as_data(check: Check, tmp_path: Path) -> None:
    """Standard output is JSON alone; what the script prints goes to standard error."""
    ended = check("tells.py", "--json", sample='{"a": 1}')

    data = ended.json()
    assert ended.status == 0
    assert data["ok"] is True
    assert data["script"] == str(tmp_path / "tells.py")
    assert (data["stage"], data["report"]) == (None, None)
    assert [step["step"] for step in data["steps"]] == STEPS
    assert {step["state"] for step in data["steps"]} == {"done"}
    assert data["answer"] == {
        "status": 200,
        "content_type": "application/json",
        "body": '{"got":"{\\"a\\": 1}","stdin":""}',
    }
    assert data["output"] == ended.err.splitlines()
    assert "importing" in data["output"]


def test_without_a_sample_all_but_scoring_is_done(check: Check) -> None:
    ended = check("raises.py", "--json", sample=None)

    assert ended.status == 0
    assert states(ended)["run"] == "skipped"
    assert "encode" not in states(ended)


def test_the_decorators_own_sample(check: Check) -> None:
    ended = check("typed.py", sample=None)

    assert ended.status == 0
    assert "✓ run(sample)  the decorators' own sample" in ended.out
    assert "200 application/json, 5 bytes: [4.5]" in ended.out


def test_a_sample_of_another_kind(check: Check, tmp_path: Path) -> None:
    """A raw script gets the file's bytes and the media type of its name."""
    fill(tmp_path, {"digit.png": b"\x89PNG\r\n\x1a\n\xff"})

    ended = check("raw_length.py", "--sample", "digit.png", sample=None)

    assert '{"bytes":9,"type":"image/png","length":"9"}' in ended.out


def test_a_stream_without_end(check: Check) -> None:
    ended = check("streams.py", sample='[{"endless": "x"}]')

    assert ended.status == 0
    assert "200 text/plain; charset=utf-8, 1000 chunks" in ended.out


def test_the_chunks_of_a_stream_are_the_time_of_encoding(check: Check) -> None:
    steps = check("slow_stream.py", "--json").json()["steps"]

    seconds = {step["step"]: step.get("seconds", 0.0) for step in steps}
    assert seconds["run"] < seconds["encode"]


def test_a_thread_that_goes_on_keeps_nobody(check: Check) -> None:
    assert check("leaves_thread.py").status == 0


def test_the_script_finds_what_the_contract_promises(check: Check, tmp_path: Path) -> None:
    fill(tmp_path, {"azureml-models/m/3/model.pkl": ""})

    ended = check("looks_around.py", "--json", FROM_OUTSIDE="here")

    assert json.loads(ended.json()["answer"]["body"]) == {
        "variables": {
            "AML_APP_ROOT": str(tmp_path),
            "AZUREML_MODEL_DIR": str(tmp_path / "azureml-models/m/3"),
            "AML_APP_INSIGHTS_ENABLED": "false",
            "FROM_OUTSIDE": "here",
        },
        "path": str(tmp_path),
    }


def test_models_are_named_and_doubtful_ones_pointed_at(check: Check, tmp_path: Path) -> None:
    fill(tmp_path, {"azureml-models/good/2/model.pkl": "", "azureml-models/bad/1/a": ""})
    fill(tmp_path, {"azureml-models/bad/1/b": ""})

    ended = check("echo.py")

    assert f"✓ models       good:2 in {tmp_path}/azureml-models" in ended.out
    assert re.search(r"^! +bad: ", ended.out, re.MULTILINE)


def test_doubtful_settings_are_pointed_at(check: Check) -> None:
    ended = check("echo.py", SCOREHOST_WORKERS="2")
    data = check("echo.py", "--json", SCOREHOST_WORKERS="2").json()

    said = "Unknown setting SCOREHOST_WORKERS (variable). Did you mean WORKER_COUNT?"
    assert ended.out.splitlines()[0] == f"! {said}"
    assert data["warnings"] == [said]


def test_settings_apply(check: Check) -> None:
    """The flags of ``serve`` are taken as well."""
    assert check("evaluates.py", "--nan", "literal", sample="\"float('nan')\"").status == 0
    assert check("evaluates.py", "--nan", "error", sample="\"float('nan')\"").status == 3


def test_a_terminal_without_our_marks_gets_others(check: Check) -> None:
    fine = check("echo.py", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    broken = check("init_raises.py", PYTHONUTF8="0", PYTHONIOENCODING="ascii")

    assert fine.out.startswith("ok     read")
    assert "FAILED init()" in broken.out
    assert (fine.out + broken.out).isascii()


# -- where it stops -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "stage", "kind"),
    [
        ("takes_args.py", "signature", "BadSignature"),
        ("init_raises.py", "init()", "RuntimeError"),
        ("raises.py", "run", "ValueError"),
        ("not_encodable.py", "encode", "ResultNotEncodable"),
    ],
)
def test_the_stage_that_failed(check: Check, script: str, stage: str, kind: str) -> None:
    data = failed(check(script, "--json"))

    assert data["stage"] == stage
    assert data["report"]["error_type"] == kind


@pytest.mark.parametrize(
    ("source", "stage"),
    [
        ("def init(:\n", "read"),
        ("import no_such_package_anywhere\n", "import"),
        ("import sys\nsys.exit(5)\n", "import"),
        ("import os\nos._exit(5)\n", "import"),
        ("def init(): pass\n", "signature"),
        (
            "def init():\n from azureml.core.model import Model\n Model.get_model_path('m')\n"
            "def run(data): pass\n",
            "model path",
        ),
    ],
)
def test_the_stage_of_a_script_that_does_not_start(tmp_path: Path, source: str, stage: str) -> None:
    fill(tmp_path, {"score.py": source})

    data = failed(run(tmp_path, "check", "score.py", "--json"))

    assert data["stage"] == stage
    assert len(data["steps"]) <= STEPS.index("init()") + 1


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    data = failed(run(tmp_path, "check", "nowhere.py", "--json"))

    assert data["stage"] == "read"
    assert str(tmp_path / "nowhere.py") in data["report"]["message"]


def test_the_report_comes_last(check: Check, tmp_path: Path) -> None:
    ended = check("init_raises.py")

    steps, report = ended.out.split("\n\n", 1)
    assert steps.splitlines()[-1] == "✗ init()"
    assert report.splitlines()[0].startswith("┌─ scorehost: init_raises.py did not start ─")
    assert "Hint" in report
    assert ended.err == ""


def test_a_sample_that_does_not_fit(check: Check) -> None:
    """The answer names the parameter; the hint says whose fault that may be."""
    wrong = failed(check("typed.py", "--json", sample='{"data": "words"}'))
    broken = failed(check("typed.py", "--json", sample="{"))

    assert (wrong["stage"], broken["stage"]) == ("validate", "decode")
    assert "data" in wrong["report"]["message"]
    assert "--sample" in wrong["report"]["hint"]


def test_a_run_that_fails_shows_the_scripts_frames_and_its_input(check: Check) -> None:
    report = failed(check("raises.py", "--json", sample="[1, 2]"))["report"]

    assert [(frame["file"], frame["function"]) for frame in report["frames"]] == [
        ("raises.py", "run")
    ]
    assert "run() was called with data = " in report["hint"]
    assert "scorehost: raises.py did not answer" in check("raises.py").out


def test_a_result_that_cannot_be_encoded_names_the_path(check: Check) -> None:
    ended = check("not_encodable.py", "--json")

    assert "result.prices[1]" in failed(ended)["report"]["message"]
    assert states(ended)["run"] == "done"


def test_a_stream_that_breaks_off(check: Check) -> None:
    data = failed(check("streams.py", "--json", sample='[{"yield": 1}, {"raise": "broken"}]'))

    assert data["report"]["error_type"] == "ValueError"
    assert data["report"]["frames"][-1]["file"] == "streams.py"


def test_a_raw_answer_of_500_is_no_answer(check: Check) -> None:
    data = failed(check("answers_500.py", "--json"))

    assert "500" in data["report"]["message"]
    assert "no model" in data["report"]["message"]


# -- a process that dies or hangs ---------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [("segv", "SIGSEGV"), ("kill", "SIGKILL"), ("_exit", "status 7")],
)
def test_a_process_that_dies_is_explained(check: Check, how: str, said: str) -> None:
    data = failed(check("dies.py", "--json", sample=f'"{how}"'))

    assert data["stage"] == "run"
    assert said in data["report"]["message"]


def test_a_crash_shows_where_and_the_last_output(check: Check) -> None:
    report = failed(check("dies.py", "--json", sample='"segv"'))["report"]

    assert [frame["function"] for frame in report["frames"]] == ["run"]
    assert "in run" in report["stacks"]
    assert report["output"] == "about to read address 0"


def test_an_exit_in_run_fails_the_sample_only(check: Check) -> None:
    assert (
        failed(check("dies.py", "--json", sample='"exit"'))["report"]["error_type"] == "SystemExit"
    )


def test_an_init_that_never_ends(check: Check) -> None:
    report = failed(check("never_ready.py", "--json", "--worker-timeout", "3"))["report"]

    assert report["stage"] == "init()"
    assert "WORKER_TIMEOUT" in report["message"]
    assert report["frames"][-1]["function"] == "init"


@pytest.mark.parametrize("how", ["sleep", "spin", "c"])
def test_a_run_that_never_ends(check: Check, how: str) -> None:
    """Even one that holds the interpreter's lock."""
    arguments = ("--json", "--scoring-timeout-ms", "300")

    report = failed(check("hangs.py", *arguments, sample=f'"{how}"'))["report"]

    assert report["stage"] == "run"
    assert "SCORING_TIMEOUT_MS" in report["message"]
    assert report["frames"][-1]["file"] == "hangs.py"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_child_ends_with_the_command(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    shutil.copy(SCRIPTS / "checked" / "never_ready.py", tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "scorehost", "check", "never_ready.py"],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    wait_until(lambda: "models" in process.stdout.readline(), what="init() has begun")
    [child] = [int(pid) for pid in children_of(process.pid)]

    process.send_signal(number)

    assert process.wait(20) == status
    wait_until(lambda: not alive(child), what="the child has ended")
    assert not in_session(process.pid)
    process.stdout.close()


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


ENDLESS = {
    "prints in run": "def init(): pass\ndef run(data):\n while True: print('x')\n",
    "streams": "def init(): pass\ndef run(data):\n while True: yield 'x' * 10\n",
    "prints in init": (
        "import subprocess\ndef init(): subprocess.run(['yes'])\ndef run(data): pass\n"
    ),
    "another process prints": (
        "import os, subprocess\ndef init(): subprocess.Popen(['timeout', '20', 'yes'])\n"
        "def run(data): os._exit(3)\n"
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_ends_the_check(tmp_path: Path, what: str) -> None:
    """However much there is to hear, time is looked at."""
    fill(tmp_path, {"score.py": ENDLESS[what], "sample.json": "{}"})

    ended = run(
        tmp_path, "check", "score.py", "--sample", "sample.json", "--worker-timeout", "5",
        "--scoring-timeout-ms", "500",
    )  # fmt: skip

    assert ended.status == (0 if what == "streams" else 3)


def test_a_script_that_forks_in_init_has_one_answer(tmp_path: Path) -> None:
    source = "import os\ndef init(): os.fork()\ndef run(data): return 'mine'\n"
    fill(tmp_path, {"score.py": source, "sample.json": "{}"})

    ended = run(tmp_path, "check", "score.py", "--sample", "sample.json", "--json")

    assert ended.json()["answer"]["body"] == '"mine"'
    assert [step["step"] for step in ended.json()["steps"]] == STEPS


def test_records_of_several_lines_and_of_levels_of_their_own(tmp_path: Path) -> None:
    source = (
        "import logging\ndef init():\n logging.getLogger('m').log(35, 'one\\ntwo')\n"
        "def run(data): pass\n"
    )
    fill(tmp_path, {"score.py": source})

    assert run(tmp_path, "check", "score.py", "--json").json()["output"] == [
        "Level 35 m: one", "two",
    ]  # fmt: skip


def test_a_stream_that_hangs_names_the_step_and_the_last_output(tmp_path: Path) -> None:
    source = (
        "import time\ndef init(): pass\ndef run(data):\n print('before')\n yield 'a'\n"
        " time.sleep(60)\n"
    )
    fill(tmp_path, {"score.py": source, "sample.json": "{}"})

    data = failed(
        run(tmp_path, "check", "score.py", "--sample", "sample.json", "--json",
            "--scoring-timeout-ms", "500")
    )  # fmt: skip

    assert data["stage"] == "encode"
    assert data["report"]["output"] == "before"


def test_a_script_that_closes_its_outputs_fails_by_itself(tmp_path: Path) -> None:
    source = "import os\ndef init():\n os.close(1)\n os.close(2)\ndef run(data): return 1\n"
    fill(tmp_path, {"score.py": source, "sample.json": "{}"})

    ended = run(tmp_path, "check", "score.py", "--sample", "sample.json", "--json")

    assert ended.json()["answer"]["body"] == "1"
