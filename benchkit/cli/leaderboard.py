"""benchkit leaderboard: records of many runs as a static site, and what speaks against new ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchkit.cli._records import selecting
from benchkit.errors import NothingToRun
from benchkit.text import printable, say, warn

if TYPE_CHECKING:
    from benchkit.leaderboard.check import Problem
    from benchkit.leaderboard.keys import Parted

NAMED = 20
"""Maximum number of problems that are named."""


@click.group("leaderboard")
def cmd() -> None:
    """Make a site of the records of many runs; check records, and add them."""


@cmd.command("build")
@click.argument("records", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder of the site; its pages are written anew.",
)
def build_cmd(records: Path, out: Path) -> None:
    """Make a static site of the records below RECORDS: a page for each track, and one that lists them.

    A track is a dataset, model, recipe and poison rate. What a track cannot tell is read from RECORDS/tracks.toml.
    """
    from benchkit.leaderboard.site import INDEX, build
    from benchkit.leaderboard.track import ABOUT, tracks_of
    from benchkit.report.load import read_records

    about = records / ABOUT
    found = tracks_of(read_records(records), about if about.exists() else None)
    build(found, out)
    done = sum(track.complete for track in found)
    say(f"wrote {out / INDEX}: {len(found)} track{'s' * (len(found) != 1)}, {done} of them complete")


data_root_option = click.option(
    "--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where datasets are, as for benchkit run."
)
plugin_option = click.option(
    "-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a loose plugin file."
)


@cmd.command("check")
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="RECORDS",
    help="Records of a leaderboard: where they measured the same, numbers must agree within chance.",
)
@click.option("--partial", is_flag=True, help="Allow tracks with empty cells.")
@data_root_option
@plugin_option
def check_cmd(
    results: Path, against: Path | None, partial: bool, data_root: Path | None, plugins: tuple[str, ...]
) -> int:
    """Check the records below RESULTS as a contribution: whole, plausible, reproducible, without gaps.

    Shares must be those of whole numbers of images, numbers that follow from others must follow, every cell needs
    every seed, versions and devices must be named. Records that other code made are counted, but are no problem.

    Exit codes: 0 nothing speaks against them, 1 something does, 2 usage, 3 no records.
    """
    from benchkit.leaderboard.check import gaps, problems
    from benchkit.leaderboard.keys import parted
    from benchkit.leaderboard.track import tracks_of
    from benchkit.report.load import read, read_records

    records, unread = read(results)
    if not records:
        read_records(results)
    known = read_records(against) if against else []
    found = [*problems(records, known), *([] if partial else gaps(tracks_of(records)))]
    _say_problems(found)
    for line in unread:
        say(line)
    _say_code(len(records), parted(records, data_root, plugins))
    count = len(found) + len(unread)
    say(f"{len(records)} records, {count or 'no'} problem{'s' * (count != 1)}")
    return int(bool(count))


@cmd.command("add")
@selecting("attack", "defense", "dataset", "model")
@click.option(
    "--to",
    "board",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="RECORDS",
    help="Folder of the leaderboard; it is made if it does not exist.",
)
@data_root_option
@plugin_option
def add_cmd(
    results: Path, board: Path, data_root: Path | None, plugins: tuple[str, ...], **selection: str | None
) -> int:
    """Add records of finished runs to a leaderboard.

    Those that the installed code would make are added, others are left out; each takes the place of what the
    leaderboard has of the same cell and seed. Nothing is added where something speaks against a record.

    Exit codes: 0 added, 1 something speaks against a record, 2 usage, 3 nothing to add.
    """
    from benchkit.leaderboard.add import add
    from benchkit.leaderboard.check import problems
    from benchkit.leaderboard.keys import parted
    from benchkit.report.load import newest, read, read_records
    from benchkit.report.select import chosen

    records = chosen(read_records(results), selection)
    by_code = parted(records, data_root, plugins)
    _say_code(len(records), by_code)
    ours = newest(by_code.ours)
    if not ours:
        raise NothingToRun(f"none of these records of {results} is one that the installed benchkit would make")
    if found := problems(ours):
        _say_problems(found)
        say("nothing was added")
        return 1
    added = add(ours, read(board)[0] if board.exists() else [], board)
    say(f"{board}: {added.new} added, {added.replacing} replaced, {added.there} were there")
    return 0


def _say_problems(found: Sequence[Problem]) -> None:
    for one in found[:NAMED]:
        say(f"{printable(one.of)}: {printable(one.what)}")
    if len(found) > NAMED:
        say(f"... and {len(found) - NAMED} more")


def _say_code(records: int, by_code: Parted) -> None:
    for line in by_code.unplanned:
        warn(f"note: keys were not checked of {printable(line)}")
    if by_code.others:
        warn(f"note: {len(by_code.others)} of {records} records were made with other code than the installed benchkit")
