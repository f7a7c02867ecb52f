"""The estimate of what is left, and what people are shown of it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from toy_steps import step

from benchkit.execute.executors.base import Outcome
from benchkit.execute.progress import view as views
from benchkit.execute.progress.history import History
from benchkit.execute.progress.progress import Progress, span
from benchkit.execute.progress.view import Log, Quiet, Screen


def done(key: str, seconds: float, made: bool = True, **peaks: float) -> Outcome:
    return Outcome(key, "done", {"made": made, "cost": {"seconds": seconds, "peak_mb": 100.0, **peaks}})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose only item is the time."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def planned(history: History, count: int = 4) -> Progress:
    """Return the progress of a run of so many victims with a cell each."""
    progress = Progress(history)
    steps = [step("train", f"t{n}") for n in range(count)]
    steps += [step("cell", f"c{n}", parents=[f"t{n}"]) for n in range(count)]
    progress.expect({one.key: one for one in steps})
    return progress


def test_there_is_no_estimate_until_something_is_known(history: History) -> None:
    progress = planned(history)
    assert progress.eta(2) == ""
    history.learn(step("train", "a"), 30)
    assert progress.eta(2) == "at least 60 s left"
    history.learn(step("cell", "a"), 10)
    assert progress.eta(2) == "about 80 s left"
    assert progress.eta(1) == "about 3 min left"


def test_the_estimate_is_never_shorter_than_the_longest_chain(history: History) -> None:
    progress = planned(history, count=1)
    history.learn(step("train", "a"), 30)
    history.learn(step("cell", "a"), 10)
    assert progress.eta(16) == "about 40 s left"


def test_the_estimate_shrinks_while_steps_run_and_end_or_will_not_run(history: History, clock: list[float]) -> None:
    progress = planned(history)
    history.learn(step("train", "a"), 30)
    history.learn(step("cell", "a"), 10)
    progress.started(progress.left["t0"])
    clock[0] = 20.0
    assert progress.eta(1) == "about 2 min left"
    assert progress.eta(2) == "about 70 s left"
    clock[0] = 500.0
    assert progress.eta(2) == "about 65 s left"
    assert progress.ended(progress.left["t0"], done("t0", 30.0)) == 500.0
    assert (progress.done, progress.total) == (1, 8)
    for key in ("t1", "t2", "t3", "c1", "c2", "c3"):
        progress.dropped(progress.left[key])
    assert progress.eta(2) == "about 10 s left"


def test_the_last_line_says_what_a_run_cost(history: History) -> None:
    progress = planned(history)
    assert progress.summary(4, 0.5) == "4 cells, 0 steps run, 0.5 s"
    progress.ended(progress.left["t0"], done("t0", 30.0))
    progress.ended(progress.left["t1"], done("t1", 40.0, peak_device_mb=2000.4, peak_mb=300.0))
    progress.ended(progress.left["t2"], done("t2", 99.0, made=False))
    progress.ended(progress.left["t3"], Outcome("t3", "error", error="no", cost={"seconds": 5.0}))
    begin, end = "4 cells, 2 steps run: 75 s of computing in 45 s, ", "peak memory 300 MiB, peak GPU memory 2000 MiB"
    assert progress.summary(4, 45) == begin + end
    progress.gpus = 2
    assert progress.summary(4, 45) == begin + "90 GPU-seconds, " + end


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7100, "118 min"),
        (7200, "2.0 h"),
    ],
)
def test_lengths_of_time_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_log_says_how_long_is_left_once_a_minute_at_most(
    history: History, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = planned(history, count=400)
    log = Log(progress, lambda: 1)
    for number in range(121):
        one = progress.left[f"t{number}"]
        log.started(one, "cpu/0")
        clock[0] += 1
        log.ended(one, done(one.key, 1.0))
        log.tick()
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "left" in line] == ["at least 6 min left", "at least 5 min left"]
    assert lines[0] == "[1/800] train t0  1.0 s"


def test_a_log_does_not_say_the_same_time_twice(
    history: History, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = planned(history, count=400)
    log = Log(progress, lambda: 1)
    one = progress.left["t0"]
    log.started(one, "cpu/0")
    clock[0] += 1
    log.ended(one, done(one.key, 1.0))
    for _ in range(5):  # nothing ends, and nothing runs
        clock[0] += 61
        log.tick()
    assert capsys.readouterr().err.count("left") == 1


def test_quiet_says_only_what_went_wrong(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    progress = planned(history)
    view = Quiet(progress)
    view.started(progress.left["t0"], "cpu/0")
    view.ended(progress.left["t0"], done("t0", 1.0))
    view.tick()
    assert capsys.readouterr().err == ""
    assert progress.done == 1
    view.ended(progress.left["t1"], Outcome("t1", "error", error="no stamp today"))
    view.stopping(1)
    assert capsys.readouterr().err.splitlines() == [
        "error: train t1: no stamp today",
        "finishing 1 step; press Ctrl-C again to stop at once",
    ]


def test_the_screen_has_a_line_for_each_slot(history: History, clock: list[float]) -> None:
    history.learn(step("train", "a"), 30)
    progress = planned(history)
    slots = [3]
    screen = Screen(progress, lambda: slots[0])
    written = io.StringIO()
    screen.console = Console(file=written, width=100)

    def shown() -> list[str]:
        drawn = io.StringIO()
        Console(file=drawn, width=100).print(screen.draw())
        return [" ".join(line.split()) for line in drawn.getvalue().splitlines()]

    screen.started(progress.left["t1"], "cuda:0/1")
    screen.started(progress.left["t0"], "cuda:0/0")
    clock[0] = 12.0
    screen.tick()
    head, *lines = shown()
    assert head.startswith("0/8 steps")
    assert head.endswith("12 s, at least 32 s left")
    assert lines == ["cuda:0/0 train t0 12 s / 30 s", "cuda:0/1 train t1 12 s / 30 s", "idle"]
    slots[0] = 4
    screen.ended(progress.left["t1"], done("t1", 12.0))
    assert shown()[1:] == ["cuda:0/0 train t0 12 s / 30 s", "idle", "idle", "idle"]
    assert "[1/8] train t1 12.0 s" in " ".join(written.getvalue().split())


def test_a_terminal_gets_the_screen_and_a_file_the_log(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = planned(history)
    with views.make_view(progress, lambda: 1, quiet=True) as view:
        assert type(view) is Quiet
    with views.make_view(progress, lambda: 1, quiet=False) as view:
        assert type(view) is Log
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with views.make_view(progress, lambda: 1, quiet=False) as view:
        assert type(view) is Screen
