"""The shape of the package: who may import whom, what is public, and what an import costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import tickhouse

SOURCE = Path(tickhouse.__file__).parent
ROOMS = ("exchange", "feeds", "journal", "lake", "process", "quality", "stores", "surfaces")
JOINERS = ("steps", "targets", "cli", "pipeline", "house", "__main__", "__init__")
ENTRY = {"surfaces/entry.py"}


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, wherever in it, but for those that only a type checker reads."""
    found, tree = set(), ast.parse(path.read_text())
    only_types = [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    skipped = {id(inner) for node in only_types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tickhouse"):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.startswith("tickhouse"))
    return found


def room(module: str) -> str:
    """The room of a dotted name: `tickhouse.journal.sqlite` is in `journal`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def files(folder: str) -> list[Path]:
    return sorted((SOURCE / folder).rglob("*.py"))


def test_core_imports_nothing_of_ours_but_itself():
    wrong = {str(p): bad for p in files("core") if (bad := {m for m in imports(p) if room(m) != "core"})}
    assert not wrong


def test_a_room_imports_core_and_itself_and_no_other_room():
    wrong = {}
    for name in ROOMS:
        for path in files(name):
            if str(path.relative_to(SOURCE)) in ENTRY:
                continue
            bad = {m for m in imports(path) if room(m) not in ("core", name, "__init__")}
            if bad:
                wrong[str(path.relative_to(SOURCE))] = bad
    assert not wrong


def test_a_contract_imports_none_of_the_files_of_its_room():
    for name in ROOMS:
        own = {m for m in imports(SOURCE / name / "__init__.py") if room(m) == name}
        assert not own, (name, own)


def test_neither_benchmarks_nor_tools_import_tests():
    root = Path(__file__).parents[1]
    paths = [path for folder in ("benchmarks", "tools") for path in (root / folder).rglob("*.py")]
    assert len(paths) > 40
    assert not [str(path) for path in paths if re.search(r"^\s*(from|import) tests\b", path.read_text(), re.MULTILINE)]


def test_every_folder_and_file_at_the_top_is_a_room_or_joins_rooms():
    top = {p.stem for p in SOURCE.iterdir() if not p.name.startswith((".", "__pycache__")) and p.name != "py.typed"}
    assert top <= {"core", *ROOMS, *JOINERS}


def test_the_pipeline_fits_on_two_screens_and_no_module_is_a_drawer():
    assert len((SOURCE / "pipeline.py").read_text().splitlines()) <= 130
    long = {str(p.relative_to(SOURCE)): n for p in SOURCE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 460}
    assert not long
    assert not list(SOURCE.rglob("*util*"))


def test_the_public_names_are_listed_and_exist():
    assert tickhouse.__all__ == sorted(tickhouse.__all__)
    assert all(hasattr(tickhouse, name) for name in tickhouse.__all__)


def test_importing_tickhouse_loads_nothing_heavy_and_costs_little():
    """Compared with bare Python in the same run: under 150 ms more, and none of the heavy libraries."""
    code = "import time; t = time.perf_counter(); import tickhouse; d = time.perf_counter() - t; import sys; print(d, *sys.modules)"
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert min(float(answer[0]) for answer in answers) < 0.150
    heavy = {
        "pandas",
        "pyspark",
        "dbt",
        "streamlit",
        "numba",
        "polars",
        "pyarrow",
        "duckdb",
        "sqlalchemy",
        "fastapi",
        "numpy",
    }
    assert not heavy & set(answers[0][1:])


def test_help_needs_no_heavy_library():
    code = "import tickhouse.cli, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "pandas", "sqlalchemy", "fastapi", "duckdb", "polars"} & set(loaded)
