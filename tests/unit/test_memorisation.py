"""benchmarks/experiments/memorisation.py: run as people run it, at sizes that take seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from table_rows import csv_rows

import benchkit
from benchkit.execute.executors.launch import cores

TOY = Path(__file__).parents[1] / "toy.py"
ASKED = ("memorisation.py", "-p", TOY, "--dataset", "toy")
QUICK = ("--recipe", "fast:epochs=1,batch=32", "--k", "12", "--train-k", "12", "--energy", "1")
Script = Callable[..., Any]


@pytest.fixture
def band(load_experiment: Callable[[str], ModuleType]) -> ModuleType:
    return load_experiment("_band")


@pytest.mark.slow
def test_each_direction_is_measured_and_no_victim_is_trained_twice(script: Script, tmp_path: Path) -> None:
    recipe = ("--recipe", "fast:epochs=4,batch=32")
    ran = script(*ASKED, *recipe, "--attacks", "corner", "--k", "2,10,12", "--train-k", "4,12", "--energy", "0.5,2")
    assert ran.code == 0, ran.err
    rows = csv_rows(tmp_path / "memorisation.csv")
    found = {(row["direction"], row["band"], row["k"], row["scaled"], row["energy_target"]): row for row in rows}
    assert len(found) == len(rows) == 1 + 2 * 2 * 3 + 2 * 2 * 2 + 2 * 2
    # full (k=12 is full, too), high and low k=4, and high and low k=10 at two energies
    victims = [line for line in ran.err.splitlines() if line.startswith("corner: victim")]
    assert len(victims) == 1 + 2 + 4
    assert victims[0].startswith("corner: victim 1 of 7, full: C-Acc ")

    full = found["full", "full", "12", "false", ""]
    assert float(full["asr"]) > 0.9
    for row in rows:
        share = float(row["energy_share"])
        of_all = row["k"] == "12" or row["direction"] == "band-to-full"
        assert (share == 1) == (of_all and row["direction"] != "energy"), row
        assert (row["asr_all"] != "") == (row["direction"] == "full")
        if row["direction"].startswith("full"):
            assert row["c_acc"] == full["c_acc"]
        if row["k"] == "12":
            assert (row["asr"], row["l2"], row["linf"]) == (full["asr"], full["l2"], full["linf"])
        if row["direction"] == "energy":
            assert float(row["l2"]) == pytest.approx(float(row["energy_target"]), rel=0.05)

    # A 3 x 3 corner of white on images around 80 changes low frequencies most.
    blocks = {key[1:4]: row for key, row in found.items() if key[0] == "full-to-band"}
    shares = [float(blocks["low", k, "false"]["energy_share"]) for k in ("2", "10", "12")]
    assert shares == sorted(shares)
    assert shares[0] > 10 * float(blocks["high", "2", "false"]["energy_share"])
    for name in ("high", "low"):
        small, scaled = blocks[name, "2", "false"], blocks[name, "2", "true"]
        assert float(scaled["l2"]) > 1.2 * float(small["l2"])
        assert scaled["energy_target"] == full["l2"]
    assert float(blocks["low", "10", "false"]["asr"]) > float(blocks["high", "10", "false"]["asr"]) + 0.5


def test_the_full_trigger_scores_what_benchkit_run_records(
    script: Script, toy_run: Callable[..., Any], records_in: Callable[[Path], list[dict[str, Any]]], tmp_path: Path
) -> None:
    # smooth needs a clean model, and chooses its target itself; as many jobs as cores have one thread each
    attacks = "corner,smooth:n_images=10,max_passes=1,df_iter=5,low-freq:poisoning=dataset"
    run = toy_run("--attacks", attacks, "--jobs", cores(), "--device", "cpu", "--quiet")
    assert run.code == 0, run.err
    metrics = {record["attack"]: record["metrics"] for record in records_in(tmp_path / "results")}
    ran = script(*ASKED, *QUICK, "--recipe", "fast:epochs=2,batch=32", "--attacks", attacks)
    assert ran.code == 0, ran.err
    rows = {row["attack"]: row for row in csv_rows(tmp_path / "memorisation.csv") if row["direction"] == "full"}
    assert rows.keys() == metrics.keys()
    for attack, row in rows.items():
        for name in ("asr", "c_acc", "asr_clean_model"):
            assert float(row[name]) == pytest.approx(metrics[attack][name], abs=1e-5), (attack, name)
    # 90 images of other classes, and 30 of the target's own, which stay there
    corner = rows["corner"]
    assert 0.05 < float(corner["asr"]) < 0.95
    assert float(corner["asr_all"]) == pytest.approx((90 * float(corner["asr"]) + 30) / 120, abs=1e-5)


def test_it_repeats_itself_and_heeds_its_seed_and_the_number_of_images(script: Script, tmp_path: Path) -> None:
    for name, seed, images in (("a", 1, 90), ("b", 1, 90), ("c", 2, 90), ("d", 1, 7)):
        more = ("--seed", seed, "--test-images", images, "--out", f"{name}.csv")
        assert script(*ASKED, *QUICK, "--attacks", "badnets", *more).code == 0
    seen = {name: (tmp_path / f"{name}.csv").read_text() for name in "abcd"}
    assert seen["a"] == seen["b"]
    assert (tmp_path / "a-maps.csv").read_text() == (tmp_path / "b-maps.csv").read_text()
    numbers = [[(row["asr"], row["c_acc"], row["l2"]) for row in csv_rows(tmp_path / f"{name}.csv")] for name in "ac"]
    assert numbers[0] != numbers[1]
    few = csv_rows(tmp_path / "d.csv")
    assert all(7 * float(row["asr"]) == pytest.approx(round(7 * float(row["asr"])), abs=1e-4) for row in few)
    assert few[0]["l2"] != csv_rows(tmp_path / "a.csv")[0]["l2"]


@pytest.fixture
def nowhere() -> benchkit.Scene:
    split = benchkit.Split(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    return benchkit.Scene(2, (1, 8, 8), torch.device("cpu"), split, torch.Generator())


def spike(height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a grey image of 3 x 8 x 8, and the same with its first pixel higher."""
    clean = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    stamped = clean.clone()
    stamped[..., 0, 0] += height
    return clean, stamped


@pytest.mark.parametrize(
    ("norm", "energy", "level"),
    [
        ("own", 1.0, 1),  # 64 levels in one of 64 pixels are 1 on average
        ("full", 1.0, 8),  # 64 pixels that change by 8 are as long as one that changes by 64
        ("fixed", 0.5, 9),  # 0.5 * 255 / sqrt(3 * 64) = 9.2
    ],
)
def test_the_lowest_block_is_the_mean_change_at_the_length_asked_for(
    band: ModuleType, nowhere: benchkit.Scene, norm: str, energy: float, level: int
) -> None:
    clean, stamped = spike(64)
    lowest = band.Band(band="low", k=1, norm=norm, energy=energy)
    assert lowest.rework(clean, stamped, nowhere).equal(clean + level)


def test_the_highest_block_alternates_in_sign(band: ModuleType, nowhere: benchkit.Scene) -> None:
    clean, stamped = spike(64)
    made = band.Band(band="high", k=1, norm="fixed", energy=0.5).rework(clean, stamped, nowhere)
    change = made.float() - clean.float()
    u, v = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    assert change.sign().equal(((-1.0) ** (u + v)).view(1, 1, 8, 8) * change.ne(0))
    assert change.norm().item() / 255 == pytest.approx(0.5, rel=0.02)
    assert change.abs().max() == change[..., 3:5, 3:5].abs().min()


@pytest.mark.parametrize("norm", ["own", "full", "fixed"])
def test_a_block_with_nothing_of_the_change_stays_empty(band: ModuleType, nowhere: benchkit.Scene, norm: str) -> None:
    clean, _ = spike(0)
    high = band.Band(band="high", k=7, norm=norm)
    columns = torch.tensor([3, 14, 15, 92, 65, 35, 89, 79], dtype=torch.uint8)  # all rows alike: no high frequency
    assert high.rework(clean, clean + columns, nowhere).equal(clean)
    assert high.rework(clean, clean, nowhere).equal(clean)
    assert band.Band(k=8, norm=norm).rework(clean, clean, nowhere).equal(clean)


def test_the_map_is_the_mean_magnitude_of_the_spectrum(band: ModuleType) -> None:
    clean, _ = spike(0)
    shots = band.Shots(clean.repeat(2, 1, 1, 1), torch.cat([clean + 10, clean - 30]), torch.zeros(2))
    spectrum = shots.spectrum()
    assert spectrum.shape == (8, 8)
    assert spectrum[0, 0] == pytest.approx(8 * (10 + 30) / 2, rel=1e-5)
    assert spectrum.flatten()[1:].max() < 1e-3


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("--attacks", "cornr"), "did you mean 'corner'"),
        (("--attacks", "corner,none"), "none implants no trigger"),
        (("--attacks", "low-freq"), "add poisoning=dataset"),
        (("--attacks", "corner:target=4"), "target=4 is not a class"),
        (("--attacks", "corner", "--k", "4,13"), "k=13 is more than images of 12x12 pixels have"),
        (("--attacks", "corner", "--train-k", "16"), "k=16 is more"),
        (("--attacks", "corner", "--energy-k", "20"), "k=20 is more"),
        (("--attacks", "corner", "--k", "big"), "'big' is not a list of whole numbers"),
        (("--attacks", "corner", "--energy", "0,1"), "'0,1' is not a list of numbers above 0"),
        (("--attacks", "corner", "--energy", "inf"), "'inf' is not a list of numbers above 0"),
        (("--attacks", "corner", "--poison-rate", "0.1,0.2"), "not one number"),
        (("--attacks", "corner", "--model", "narownet"), "did you mean 'narrownet'"),
        (("--attacks", "corner", "--recipe", "slow"), "there is no recipe called 'slow'"),
        (("--attacks", "corner:mode=noop"), "changed no pixel"),
        (("--attacks", "corner", "--dataset", "cifar10", "--data-root", "nowhere"), "cifar10 is not in"),
        (("--attacks", "corner", "--dataset", "image-folder:root=nowhere"), "there is no folder nowhere"),
        (("--attacks", "corner", "--out", "no/where.csv"), "there is no folder no to write where.csv to"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_trained(
    script: Script, tmp_path: Path, args: tuple[str, ...], part: str
) -> None:
    ran = script(*ASKED, *args)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert part in ran.err
    assert not any(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_maps_and_a_plot_lie_beside_the_csv(script: Script, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ran = script(*ASKED, *QUICK, "--attacks", "corner,blend", "--plot", "--out", "made.csv")
    assert ran.code == 0, ran.err
    assert (tmp_path / "made.png").read_bytes().startswith(b"\x89PNG")
    rows = csv_rows(tmp_path / "made-maps.csv")
    places = {(row["attack"], int(row["u"]), int(row["v"])): float(row["value"]) for row in rows}
    assert len(places) == len(rows) == 2 * 12 * 12
    # The corner's three rows and columns are as one at the lowest frequency, and nearly cancel out at the highest.
    assert places["corner", 0, 0] > 5 * places["corner", 11, 11]
