"""A terminal of so many columns, for commands that look at where they print."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios


def on_terminal(columns: int, *arguments: object) -> list[str]:
    """The lines that a command prints on a terminal, standard error among them, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "tickhouse", *map(str, arguments)]
    without = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**without, "TERM": "xterm"})
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65_536):
            said += part
    except OSError:  # how a terminal ends on Linux
        pass
    finally:
        os.close(ours)
        process.wait(60)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode()).replace("\r\n", "\n").splitlines()
