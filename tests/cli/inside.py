"""The command line in this process: quicker than a process of its own where that is not what is tested."""

import sys
from dataclasses import dataclass

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
