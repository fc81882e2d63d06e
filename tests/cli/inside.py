"""The command line in this process: quicker than a process of its own where that is not what is tested."""

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tickhouse.cli import main


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


class CommandLine:
    """Runs commands; a fixture `th` gives one."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.capsys, self.patch = capsys, patch

    def __call__(self, *arguments: object) -> Said:
        self.patch.setattr(sys, "argv", ["tickhouse", *map(str, arguments)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = self.capsys.readouterr()
        return Said(int(end.value.code or 0), said.out, said.err)


@dataclass(frozen=True)
class Done:
    """What a command did, with the names that a finished process has."""

    returncode: int
    stdout: str
    stderr: str
    raw: bytes
    """Standard output, before it was decoded."""


def run(*arguments: object, cwd: Path | None = None) -> Done:
    """Run a command where no fixture is at hand, or its output is no text."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("argv", ["tickhouse", *map(str, arguments)]), ("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, value)
        if cwd is not None:
            patch.chdir(cwd)
        with pytest.raises(SystemExit) as end:
            main()
    raw, said = (stream.buffer.getvalue() for stream in (out, err))
    return Done(int(end.value.code or 0), raw.decode(errors="replace"), said.decode(), raw)


def good(*arguments: object, cwd: Path | None = None) -> str:
    """What a command prints that must not fail."""
    done = run(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout
