"""The command line, `mia`: all commands beside the stages, which DVC runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from mia import paths
from mia.errors import InputError, shown

app = typer.Typer(
    name="mia",
    help="Membership-inference auditing. `dvc repro` runs the audit; these commands prepare it and show its numbers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="what to call the audit: a folder of audits/")],
    images: Annotated[Path | None, typer.Option(help="a folder, an archive or a Parquet file of images")] = None,
    generated: Annotated[Path | None, typer.Option(help="images or records that an attacker could generate")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="how images are read, KEY=VALUE: size=[32,32], file_list=NAME.csv, ... (docs/images.md)"),
    ] = None,
    answers: Annotated[Path | None, typer.Option(help="a model's answers: .csv or .parquet")] = None,
    shadows: Annotated[Path | None, typer.Option(help="shadows' answers: .csv, .parquet, or a folder of them")] = None,
    table: Annotated[
        Path | None, typer.Option(help="a table of records: .csv or .parquet, or a folder of them")
    ] = None,
    label: Annotated[str | None, typer.Option(help="the table's column of classes")] = None,
    model: Annotated[
        Path | None, typer.Option(help="a trained model, a file or a folder: with --images or --table")
    ] = None,
) -> None:
    """Write the folder of a new audit, every value commented, and print the next command."""
    from mia.audits import new

    def make() -> None:
        if sum(given is not None for given in (images, answers, table)) != 1:
            raise InputError("expected one of --images, --answers and --table")
        if (table is None) != (label is None):
            raise InputError("--label: expected, with --table, the name of the table's column of classes")
        if model and answers:
            raise InputError("--model: expected with --images or --table, not with --answers")
        if model and not model.exists():
            raise InputError(f"{model}: no such file; correct the path")
        if images:
            new.images(name, images, generated, data or (), model)
        elif answers:
            new.answers(name, answers, shadows)
        elif table and label:
            new.table(name, table, label, generated, model)

    _run(make)


@app.command()
def check(name: Annotated[str, typer.Argument(help="an audit: a folder of audits/")]) -> None:
    """Look for faults in an audit's values, data and recipe, in seconds, before anything is trained."""
    from mia.audits import check

    _run(lambda: check.check(name))


@app.command()
def answers(
    target: Annotated[
        Path, typer.Argument(help="the target's answers: .csv or .parquet; docs/answers.md has the columns")
    ],
    shadows: Annotated[Path | None, typer.Option(help="shadows' answers: .csv, .parquet, or a folder of them")] = None,
    out: Annotated[Path, typer.Option(help="the folder to write: metrics, tables, figures, reports/audit.html")] = Path(
        "audit"
    ),
) -> None:
    """Audit a model by its answers alone, without DVC, git or torch."""
    from mia.audits import quick

    def audit() -> None:
        quick.run(target, shadows, out)
        from mia.report import show

        show.report(out / paths.ATTACK_METRICS)

    _run(audit)


@app.command()
def show(path: Annotated[Path, typer.Argument(help="an attacks.json")] = paths.ATTACK_METRICS) -> None:
    """Print the table of attacks, the verdict and the place of the report."""
    from mia.report import show

    _run(lambda: show.report(path))


@app.command()
def compare(
    revisions: Annotated[list[str] | None, typer.Argument(help="experiments by name, git revisions, workspace")] = None,
    out: Annotated[Path, typer.Option(help="where to write the page")] = Path("reports/compare.html"),
) -> None:
    """Compare two to seven audits on one page."""
    from mia.history import compare

    _run(lambda: compare.report(revisions or [], out))


@app.command()
def grid(
    names: Annotated[list[str] | None, typer.Argument(help="experiments, `*` as in a shell; none: all here")] = None,
    attacks: Annotated[str, typer.Option(help="attacks, by commas; none: the strongest, and loss")] = "",
    out: Annotated[Path, typer.Option(help="where to write, without an ending")] = Path("reports/grid"),
) -> None:
    """Print and draw the numbers of a grid of experiments; the exit code is 1 if one failed or has not run."""
    from mia.history import grid

    _run(lambda: grid.report(names or [], attacks.split(",") if attacks else (), out) > 0)


@app.command()
def forecast() -> None:
    """Print how long the queued experiments take; without a queue, how long this audit takes."""
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as src/stage.py sets it; before torch is imported
    from mia.history import forecast

    _run(forecast.report)


@app.command()
def publish(
    revision: Annotated[str, typer.Argument(help="an experiment by name, or a git revision")] = "HEAD",
    values: Annotated[
        bool, typer.Option("--values", help="keep what stands in the columns of a table's records")
    ] = False,
) -> None:
    """Write the report with the commit and the date of its audit, without the values of a table's records."""
    from mia.history import publish

    _run(lambda: publish.report(revision, values=values))


@app.command()
def verify() -> None:
    """Check every object in DVC's cache and remove damaged ones; the exit code is 1 if there was one."""
    from mia.store import verify

    _run(verify.report)


@app.command()
def version() -> None:
    """Print the versions, the processor and the commit that a report of a fault should name."""
    from mia import version

    _run(lambda: print("\n".join(version.lines())))


def _run(command: Callable[[], int | None]) -> None:
    """Run a command: one line on stderr for what a user can mend, never a traceback for it."""
    try:
        code = int(command() or 0)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except OSError as error:
        print(shown(f"error: {error.filename or 'files'}: {os.strerror(error.errno or 0)}"), file=sys.stderr)
        code = 1
    raise typer.Exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `mia` with these arguments, or the command line's; its exit code."""
    try:
        app(arguments, prog_name="mia")
    except SystemExit as ended:  # which is how typer always ends
        return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
