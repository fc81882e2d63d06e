"""Install uv into a folder of its own, with nothing but Python: `python3 tools/bootstrap.py .tools`.

Debian ships Python without `venv` and without `pip` unless their packages are there, so three ways are tried.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "uv>=0.9"


def main(folder: Path) -> int:
    """Make `folder/bin/uv`; returns the exit status."""
    target = folder / "bin" / "uv"
    target.parent.mkdir(parents=True, exist_ok=True)
    found = shutil.which("uv")
    if found:
        target.unlink(missing_ok=True)
        target.symlink_to(found)
    elif _by_venv(folder) or _by_pip(folder):
        pass
    else:
        sys.stderr.write("uv cannot be installed: install it, or on Debian `apt install python3-venv`, and try again\n")
        return 1
    return subprocess.run([str(target), "--version"], check=False).returncode


def _by_venv(folder: Path) -> bool:
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        return False
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False).returncode
    return made == 0 and _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGE])


def _by_pip(folder: Path) -> bool:
    if not importlib.util.find_spec("pip"):
        return False
    place = folder / "pip"
    if not _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), PACKAGE]):
        return False
    (folder / "bin" / "uv").symlink_to((place / "bin" / "uv").resolve())
    return True


def _run(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".tools")))
