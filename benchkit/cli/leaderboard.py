"""benchkit leaderboard: records of many runs as a static site, and what speaks against new ones."""

from __future__ import annotations

from pathlib import Path

import click

from benchkit.text import printable, say, warn

NAMED = 20
"""Maximum number of problems that are named."""


@click.group("leaderboard")
def cmd() -> None:
    """Make a site of the records of many runs, or check records before they are added to it."""


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


@cmd.command("check")
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="RECORDS",
    help="Records of a leaderboard: where they measured the same, numbers must agree within chance.",
)
@click.option("--partial", is_flag=True, help="Allow tracks with empty cells.")
@click.option(
    "--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where datasets are, as for benchkit run."
)
@click.option(
    "-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a loose plugin file."
)
def check_cmd(
    results: Path, against: Path | None, partial: bool, data_root: Path | None, plugins: tuple[str, ...]
) -> int:
    """Check the records below RESULTS as a contribution: whole, plausible, reproducible, without gaps.

    Shares must be those of whole numbers of images, numbers that follow from others must follow, every cell needs
    every seed, versions and devices must be named. Records that other code made are counted, but are no problem.

    Exit codes: 0 nothing speaks against them, 1 something does, 2 usage, 3 no records.
    """
    from benchkit.leaderboard.check import gaps, problems
    from benchkit.leaderboard.keys import other_code
    from benchkit.leaderboard.track import tracks_of
    from benchkit.report.load import read, read_records

    records, unread = read(results)
    if not records:
        read_records(results)
    known = read_records(against) if against else []
    found = [*problems(records, known), *([] if partial else gaps(tracks_of(records)))]
    for one in found[:NAMED]:
        say(f"{printable(one.of)}: {printable(one.what)}")
    if len(found) > NAMED:
        say(f"... and {len(found) - NAMED} more")
    for line in unread:
        say(line)
    _say_code(len(records), *other_code(records, data_root, plugins))
    count = len(found) + len(unread)
    say(f"{len(records)} records, {count or 'no'} problem{'s' * (count != 1)}")
    return int(bool(count))


def _say_code(records: int, other: int, unplanned: list[str]) -> None:
    for line in unplanned:
        warn(f"note: keys were not checked of {printable(line)}")
    if other:
        warn(f"note: {other} of {records} records were made with other code than the installed benchkit")
