"""The command line: `tickhouse COMMAND --help` explains each with an example."""

import sys

import typer

from tickhouse.cli import ask, keep, provide, run, take
from tickhouse.core.errors import SettingsError, Temporary, TickhouseError

app = typer.Typer(
    name="tickhouse",
    help="A market-data pipeline and lakehouse that knows whether a bar is right.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for group in (run, take, provide, ask, keep):
    group.register(app)

USAGE, TEMPORARY, FAILED, INTERRUPTED = 2, 75, 1, 130


def main() -> None:
    """Run the command line; a failure is one sentence and an exit status that a program can use.

    2: the user can fix it now; 75: trying again can help; 1: it failed; 130: interrupted.
    """
    try:
        app()
    except TickhouseError as error:
        sys.stderr.write(f"tickhouse: {error}\n")
        sys.exit(USAGE if isinstance(error, SettingsError) else TEMPORARY if isinstance(error, Temporary) else FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
