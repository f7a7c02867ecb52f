"""benchkit export: tables that other programs read, and victims as folders that run where they are."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn
from here import run_here
from once import once

TOY = Path(__file__).parents[1] / "toy.py"


@pytest.fixture(scope="session")
def finished(shared_folder: Path) -> Path:
    """The results folder of a run of two attacks and the benign row against two defenses."""

    def make(folder: Path) -> None:
        matrix = ["--attacks", "none,corner,badnets:target=2", "--defenses", "brightest,fine-tuning:epochs=1"]
        run_here(*matrix, "--dataset", "toy", "--recipe", "fast:epochs=8,batch=32", "-p", TOY, "--results", folder)

    return once(shared_folder / "exported", make)


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_one_row_per_record_with_what_it_says(benchkit_cli: Cli, finished: Path, records_in: RecordsIn) -> None:
    rows = rows_of(benchkit_cli("export", "--to", "csv", "--results", finished).out)
    written = records_in(finished)
    assert len(rows) == len(written) == 9
    keys = {row["key"]: row for row in rows}
    for one in written:
        row = keys[one["key"]]
        assert (row["attack"], row["defense"], row["dataset"]) == (one["attack"], one["defense"], one["dataset"])
        assert json.loads(row["attack_params"]) == one["attack_info"]["params"]
        assert json.loads(row["defense_params"]) == one["defense_info"]["params"]
        assert {name: float(row[name]) for name in one["metrics"]} == one["metrics"]
        assert float(row["seconds_cell"]) == one["costs"]["cell"]["seconds"]
        assert float(row["peak_mb_judge"]) == one["costs"]["judge"]["peak_mb"]
        assert row["version_torch"] == one["versions"]["torch"]
        assert (row["device"], row["threads"], row["status"], row["error"]) == ("cpu", str(one["threads"]), "ok", "")
    assert next(row for row in rows if row["defense"] == "none")["auroc"] == ""


def test_values_are_selected_as_numbers_and_populations_have_a_column(benchkit_cli: Cli, finished: Path) -> None:
    found = rows_of(benchkit_cli("export", "--to", "csv", "--results", finished, "--attacks", "badnets:target=2.0").out)
    assert {row["attack"] for row in found} == {"badnets:target=2"}
    assert {row["population"] for row in found} == {""}


def test_csv_goes_to_a_file_and_takes_the_selection(benchkit_cli: Cli, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    ran = benchkit_cli("export", "--to", "csv", "--results", finished, "--out", out, "--attacks", "corner")
    assert (ran.code, ran.out) == (0, "")
    assert {row["attack"] for row in rows_of(out.read_text())} == {"corner"}
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_parquet_holds_the_same_table_with_types(benchkit_cli: Cli, finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    out = tmp_path / "t.parquet"
    assert benchkit_cli("export", "--to", "parquet", "--results", finished, "--out", out).code == 0
    table = pq.read_table(out)
    rows = rows_of(benchkit_cli("export", "--to", "csv", "--results", finished).out)
    assert table.column_names == list(rows[0])
    kinds = {field.name: str(field.type) for field in table.schema}
    wanted = {"asr": "double", "seed": "int64", "finished": "timestamp[us, tz=UTC]", "attack": "string"}
    assert {name: kinds[name] for name in wanted} == wanted
    assert kinds["warnings"].startswith("list<")
    assert [row["key"] for row in rows] == table["key"].to_pylist()
    assert [float(row["asr"]) if row["asr"] else None for row in rows] == table["asr"].to_pylist()


def test_parquet_without_pyarrow_names_the_extra(
    benchkit_cli: Cli, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ran = benchkit_cli("export", "--to", "parquet", "--results", finished, "--out", tmp_path / "t")
    assert (ran.code, ran.err) == (2, "error: writing Parquet needs pyarrow: pip install 'benchkit[parquet]'\n")
    assert not list(tmp_path.iterdir())


def test_each_victim_is_a_folder_whose_card_loads_it(
    benchkit_cli: Cli, finished: Path, tmp_path: Path, records_in: RecordsIn
) -> None:
    out = tmp_path / "hub"
    ran = benchkit_cli("export", "--to", "hf", "--results", finished, "--out", out, "-p", TOY, "--license", "cc0-1.0")
    assert ran.code == 0, ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]
    folders = {re.sub(r"-[0-9a-f]{8}$", "", path.name): path for path in out.iterdir()}
    assert folders.keys() == {f"{one}-toy-narrownet-seed0" for one in ("none", "corner", "badnets")}
    folder = folders["badnets-toy-narrownet-seed0"]
    config = json.loads((folder / "config.json").read_text())
    assert (config["architecture"], config["classes"], config["input_shape"]) == (
        "narrownet",
        list("abcd"),
        [3, 12, 12],
    )
    assert (config["attack"]["spec"], config["attack"]["target"]) == ("badnets:target=2", 2)
    assert (config["poison_rate"], config["seed"], config["recipe"]) == (0.1, 0, "fast:epochs=8,batch=32")
    text = (folder / "README.md").read_text()
    assert "holds a backdoor" in text
    assert "class 2 (c)" in text
    (base,) = [
        one["metrics"]
        for one in records_in(finished)
        if (one["attack"], one["defense"]) == ("badnets:target=2", "none")
    ]
    assert f"| ASR | {100 * base['asr']:.2f} % |" in text
    assert f"| C-Acc | {100 * base['c_acc']:.2f} % |" in text
    _loads(folder, base["c_acc"])
    clean = (folders["none-toy-narrownet-seed0"] / "README.md").read_text()
    assert "holds a backdoor" not in clean
    assert "clean reference" in clean


@pytest.mark.slow
def test_a_target_that_was_found_while_crafting_is_told(benchkit_cli: Cli, toy_run: Cli, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    attack = "smooth:n_images=10,max_passes=1,df_iter=5"
    assert toy_run("--attacks", attack, "--defenses", "brightest").code == 0
    results, out = tmp_path / "results", tmp_path / "hub"
    asked = ("export", "--to", "hf", "--results", results, "--out", out, "-p", TOY)
    assert benchkit_cli(*asked).code == 0
    (config,) = [json.loads(path.read_text()) for path in out.glob("smooth-*/config.json")]
    (crafted,) = (results / "artifacts" / "craft").glob("*")
    label = int(load_file(crafted / "tensors.safetensors")["label"])
    assert (config["attack"]["target"], config["attack"]["targets"]) == (label, [label] * 4)
    shutil.rmtree(out)
    shutil.rmtree(crafted)
    ran = benchkit_cli(*asked)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert "1 victim is not among the artifacts" in ran.err


def _loads(folder: Path, accuracy: float) -> None:
    """Run the card's code as it stands, then ask the model it made about the dataset's test images."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    images = TOY.read_text().split("@dataclass")[0]
    asked = "test = render(120, 2)\nprint(float((model.logits(test.images).argmax(1) == test.labels).float().mean()))"
    more = f"{images}\n{asked}".replace("from __future__ import annotations", "")
    command = [sys.executable, "-c", f"{code}\n{more}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, measured = ran.stdout.split()
    assert first in "abcd"
    assert float(measured) == pytest.approx(accuracy)


def test_front_matter_is_yaml_with_numbers_from_the_record(benchkit_cli: Cli, finished: Path, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    benchkit_cli(
        "export", "--to", "hf", "--results", finished, "--out", tmp_path / "h", "-p", TOY, "--attacks", "corner"
    )
    (page,) = (tmp_path / "h").glob("*/README.md")
    front = yaml.safe_load(page.read_text().split("---\n")[1])
    assert front["license"] == "unknown"
    assert {"backdoor", "benchkit"} <= set(front["tags"])
    assert front["pipeline_tag"] == "image-classification"
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"type": "toy", "name": "toy"}
    assert {one["name"] for one in result["metrics"]} == {"C-Acc", "ASR"}
    assert all(isinstance(one["value"], float) for one in result["metrics"])


def test_a_folder_that_is_not_empty_is_left_alone(benchkit_cli: Cli, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "mine").write_text("x")
    ran = benchkit_cli("export", "--to", "hf", "--results", finished, "--out", tmp_path / "hub", "-p", TOY)
    assert ran.code == 2
    assert "already there and not an empty folder" in ran.err
    assert [path.name for path in tmp_path.rglob("*")] == ["hub", "mine"]


def test_missing_victims_are_said_and_the_others_written(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    arguments = ("export", "--to", "hf", "--results", results, "-p", TOY)
    benchkit_cli(*arguments, "--out", tmp_path / "all")
    gone = next((tmp_path / "all").glob("corner*")).name.rpartition("-")[2]
    shutil.rmtree(next((results / "artifacts" / "train").glob(f"{gone}*")))
    ran = benchkit_cli(*arguments, "--out", tmp_path / "some")
    assert ran.code == 1
    assert "1 victim is not among the artifacts" in ran.err
    assert "corner (toy, narrownet" in ran.err
    assert len(list((tmp_path / "some").iterdir())) == 2
    benchkit_cli("cache", "prune", "--yes", "--results", results)
    ran = benchkit_cli(*arguments, "--out", tmp_path / "none")
    assert ran.code == 2
    assert ran.err.startswith("error: 3 victims are not among the artifacts")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_damaged_victim_leaves_nothing_behind(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    for path in (results / "artifacts" / "train").glob("*/tensors.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    ran = benchkit_cli("export", "--to", "hf", "--results", results, "--out", tmp_path / "hub", "-p", TOY)
    assert ran.code == 2
    assert "damaged or missing" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_numbers_of_another_victim_are_not_on_the_card(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    for path in (results / "results").rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "0" * 64}))
    ran = benchkit_cli("export", "--to", "hf", "--results", results, "--out", tmp_path / "h", "-p", TOY)
    assert ran.code == 0
    pages = [path.read_text() for path in (tmp_path / "h").glob("*/README.md")]
    assert len(pages) == 3
    assert all("There is no record" in page and "model-index" not in page for page in pages)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "hf"], 2, "name a folder with --out"),
        (["--to", "parquet"], 2, "name a file with --out"),
        (["--to", "csv", "--license", "mit"], 2, "--license is for --to hf"),
        (["--to", "hf", "--out", "x", "--license", "a: b"], 2, "--license must be an identifier"),
        (["--to", "csv", "--out", "no/such/t.csv"], 2, "there is no folder"),
        (["--to", "csv", "--attacks", "corne"], 2, "did you mean 'corner'?"),
        (
            ["--to", "csv", "--attacks", "corner", "--defenses", "all,-none,-brightest,-fine-tuning:epochs=1"],
            3,
            "no record matches",
        ),
    ],
)
def test_faults_are_one_sentence(benchkit_cli: Cli, finished: Path, arguments: list[str], code: int, said: str) -> None:
    ran = benchkit_cli("export", *arguments, "--results", finished)
    assert ran.code == code
    assert said in ran.err
    assert ran.err.count("\n") == 1
