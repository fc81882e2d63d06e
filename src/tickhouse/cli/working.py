"""What loading and replaying share: the pipeline at work beside them, and a progress bar."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from tickhouse.cli.common import say
from tickhouse.cli.outages import Outages
from tickhouse.core import observe
from tickhouse.core.errors import HouseLocked
from tickhouse.pipeline import Pipeline
from tickhouse.steps import locks
from tickhouse.steps.helping import Helping, helping
from tickhouse.steps.process import Process
from tickhouse.steps.shared import Shared


class Tell(Protocol):
    """Takes how far it is, of the total, a few words, and the total where it has become another."""

    def __call__(self, done: int, words: str, total: int | None = None, /) -> None: ...


@contextmanager
def working(pipeline: Pipeline) -> Iterator[Callable[[], None]]:
    """Process and archive in the background while data are taken in, and finish with all of it stored.

    Roles that another process has are left to it; where the ticks are shared, what it stores is waited for. Yields a function that
    raises what made the background fail, if anything did.
    A store or lake that is away is waited for, unless the block fails or is interrupted.
    """
    ending, given_up, failures, threads = threading.Event(), threading.Event(), [], []

    def guarded(body: Callable[[threading.Event], None]) -> None:
        try:
            body(ending)
        except BaseException as error:
            failures.append(error)

    def check() -> None:
        if failures:
            raise failures[0]

    with ExitStack() as stack:
        stack.enter_context(_told())
        shared = ("process",) if pipeline.settings.process.shared else ()
        for name, body in (("process", _process(pipeline, given_up)), ("archive", _archive(pipeline, given_up))):
            try:
                stack.enter_context(locks.role(pipeline.settings.data, name, name in shared))
            except HouseLocked:
                continue
            threads.append(threading.Thread(target=guarded, args=(body,), name=name))
        for thread in threads:
            thread.start()
        try:
            yield check
            ending.set()
            for thread in threads:
                thread.join()
        except BaseException:
            given_up.set()
            raise
        finally:
            ending.set()
            for thread in threads:
                thread.join()
    check()


@contextmanager
def _told() -> Iterator[None]:
    """A store that goes away, and is back, is told in a sentence."""
    before = observe.hooks
    observe.hooks = (*before, Outages(lambda event: None, say))
    try:
        yield
    finally:
        observe.hooks = before


def _process(pipeline: Pipeline, given_up: threading.Event) -> Callable[[threading.Event], None]:
    def body(ending: threading.Event) -> None:
        process = helping(pipeline, given_up, say)
        while not ending.is_set():
            process.step(0.1)
        store(process)

    return body


def store(process: Process | Shared | Helping, seconds: float = float("inf")) -> None:
    """Have all that is journaled stored, with progress where others do it, or wait for so many seconds."""
    if not isinstance(process, Helping):
        process.catch_up(seconds)
        return
    with progress("stored", 1) as tell:
        process.catch_up(seconds, lambda done, end: tell(done, f"{done:,} of {end:,} messages", end))


def _archive(pipeline: Pipeline, given_up: threading.Event) -> Callable[[threading.Event], None]:
    def body(ending: threading.Event) -> None:
        archive = pipeline.archive(given_up)
        while not ending.is_set():
            archive.step(0.1)
        archive.catch_up()

    return body


@contextmanager
def progress(name: str, total: int) -> Iterator[Tell]:
    """A bar with per cent and the time left on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda done, words, total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    said = TextColumn("{task.fields[words]}")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        said,
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task, first = bar.add_task(name, total=total, words=""), total

        def told(done: int, words: str, total: int | None = None, /) -> None:
            most = first if total is None else total
            bar.update(task, completed=min(done, most), total=most, words=words)

        yield told
