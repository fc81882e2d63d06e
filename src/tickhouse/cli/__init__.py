"""The command line: `tickhouse COMMAND --help` explains each with an example."""

import errno
import sys
from collections.abc import Callable
from functools import cache
from typing import Annotated, NoReturn

import typer

from tickhouse import __version__
from tickhouse.cli import ask, compare, journal, keep, provide, run, take
from tickhouse.cli.common import FAILED, INTERRUPTED, USAGE, status_of
from tickhouse.core.errors import TickhouseError

THE_USERS = (
    errno.EACCES, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EEXIST, errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY,
    errno.EPERM, errno.EROFS,
)  # fmt: skip
"""What the system says of a place or an address that the user can choose anew."""

app = typer.Typer(
    name="tickhouse",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for group in (run, take, provide, ask, compare, keep, journal):
    group.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tickhouse {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A market-data pipeline and lakehouse that knows whether a bar is right."""


@cache
def command() -> Callable[[], object]:
    """The commands as they are run, which takes a while to make."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line; a failure is one sentence and an exit status that a program can use.

    2: the user can fix it now; 75: trying again can help; 1: it failed; 130: interrupted.
    """
    try:
        command()()
    except TickhouseError as error:
        _end(str(error), status_of(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}", USAGE if error.errno in THE_USERS else FAILED)


def _end(sentence: str, status: int) -> NoReturn:
    sys.stderr.write(f"tickhouse: {sentence}\n")
    sys.exit(status)
