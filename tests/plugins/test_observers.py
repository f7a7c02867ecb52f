"""Trackers: off unless asked for, each tried with its real library and a store on this machine."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli

from benchkit.spec.registry import load

TOY = Path(__file__).parents[1] / "toy.py"
NAMES = ("tensorboard", "wandb", "mlflow")
RECORD = {
    "key": "0123456789abcdef" * 4,
    "attack": "blend:alpha=0.3",
    "defense": "strip",
    "dataset": "a/../b",
    "model": "m",
    "recipe": "fast",
    "poison_rate": 0.1,
    "seed": 3,
    "status": "ok",
    "error": None,
    "metrics": {"asr": 0.25, "c_acc": 0.9},
    "attack_info": {"params": {"alpha": 0.3, "target": 0}},
    "defense_info": {"params": {"overlays": 16}},
    "versions": {"torch": "2.6"},
    "device": "cpu",
}
FAILED = {**RECORD, "status": "failed", "error": "no", "metrics": {}}


def observer(name: str) -> Any:
    return importlib.import_module(f"benchkit_plugins.observers.{name}").benchkit_cell_finished


@pytest.fixture(autouse=True)
def off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"BENCHKIT_{name.upper()}", raising=False)


def test_all_are_installed_as_ordinary_plugins() -> None:
    registry = load()
    tell = registry.manager.hook.benchkit_cell_finished
    modules = {getattr(one.plugin, "__name__", "") for one in tell.get_hookimpls()}
    assert {f"benchkit_plugins.observers.{name}" for name in NAMES} <= modules
    assert registry.problems == []


@pytest.mark.parametrize("name", NAMES)
def test_without_its_variable_an_observer_imports_and_writes_nothing(name: str, tmp_path: Path) -> None:
    code = (
        f"import json, sys; from benchkit_plugins.observers.{name} import benchkit_cell_finished as tell\n"
        f"tell(json.loads(sys.argv[1])); print([one for one in {NAMES!r} if one in sys.modules])"
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith("BENCHKIT_")}
    command = [sys.executable, "-c", code, json.dumps(RECORD)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=env)
    assert ran.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_library_is_one_sentence_that_names_the_extra(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(f"BENCHKIT_{name.upper()}", str(tmp_path))
    for module in [
        one for one in sys.modules if one.split(".")[0] == name or one.startswith("torch.utils.tensorboard")
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Exception, match=rf"^BENCHKIT_{name.upper()} is set.*pip install 'benchkit\[{name}\]'$"):
        observer(name)(RECORD)


def test_an_observer_that_fails_is_reported_and_the_run_goes_on(
    toy_run: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENCHKIT_MLFLOW", "x")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for module in [one for one in sys.modules if one.startswith("mlflow.")]:
        monkeypatch.delitem(sys.modules, module)
    ran = toy_run("--attacks", "corner", "--device", "cpu", "--jobs", 1)
    assert ran.code == 0
    assert "BENCHKIT_MLFLOW is set, but mlflow is not installed" in ran.err
    assert "| corner" in ran.out


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_back_scalars_and_hyperparameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    monkeypatch.setenv("BENCHKIT_TENSORBOARD", str(tmp_path / "tb"))
    observer("tensorboard")(RECORD)
    (file,) = [path for path in (tmp_path / "tb").rglob("*") if path.is_file()]
    folders = file.parent.relative_to(tmp_path / "tb").parts
    assert folders == ("a_b", "m", "blend_alpha=0_3", "strip", "seed3-01234567")
    events = EventAccumulator(str(file.parent))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"asr", "c_acc"}
    assert events.Scalars("asr")[0].value == pytest.approx(0.25)
    raw = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    told = HParamsPluginData.FromString(raw).session_start_info.hparams
    assert told["attack.alpha"].number_value == pytest.approx(0.3)
    assert told["defense.overlays"].number_value == 16
    assert told["status"].string_value == "ok"


@pytest.mark.filterwarnings("ignore")
def test_mlflow_holds_one_run_per_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'ml.db'}"
    monkeypatch.setenv("BENCHKIT_MLFLOW", uri)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    observer("mlflow")(RECORD)
    observer("mlflow")(FAILED)
    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name("benchkit").experiment_id])
    runs = {run.info.status: run for run in found}
    assert runs.keys() == {"FINISHED", "FAILED"}
    assert runs["FINISHED"].data.metrics == {"asr": 0.25, "c_acc": 0.9}
    assert runs["FINISHED"].data.params["attack.alpha"] == "0.3"
    assert runs["FINISHED"].info.run_name == "blend:alpha=0.3 x strip, a/../b, m, seed 3"
    assert runs["FAILED"].data.metrics == {}
    assert runs["FAILED"].data.params["error"] == "no"


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_writes_the_record_into_a_run_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    code = (
        "import json, sys; from benchkit_plugins.observers.wandb import benchkit_cell_finished as tell\n"
        "[tell(json.loads(text)) for text in sys.argv[1:]]"
    )
    env = {**os.environ, "BENCHKIT_WANDB": "proj", "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code, json.dumps(RECORD), json.dumps(FAILED)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env, timeout=200)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    files = sorted(tmp_path.rglob("run-*.wandb"))
    assert len(files) == 2
    ok = next(raw for raw in map(Path.read_bytes, files) if b"blend:alpha=0.3 x strip" in raw and b"0.25" in raw)
    assert all(word in ok for word in (b"proj", b"asr", b"attack.alpha", b"defense.overlays"))
