"""What loading and replaying share: the pipeline at work beside them, and a progress bar."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tickhouse.cli.common import say
from tickhouse.cli.outages import Outages
from tickhouse.core import observe
from tickhouse.core.errors import HouseLocked
from tickhouse.pipeline import Pipeline
from tickhouse.steps import locks

Tell = Callable[[int, str], None]
"""Takes how far it is, of the total, and a few words."""


@contextmanager
def working(pipeline: Pipeline) -> Iterator[Callable[[], None]]:
    """Process and archive in the background while data are taken in, and finish with all of it stored.

    Roles that another process has are left to it. Yields a function that raises what made the background fail, if anything did.
    """
    ending, failures, threads = threading.Event(), [], []

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
        for name, body in (("process", _process(pipeline)), ("archive", _archive(pipeline))):
            try:
                stack.enter_context(locks.role(pipeline.settings.data, name))
            except HouseLocked:
                continue
            threads.append(threading.Thread(target=guarded, args=(body,), name=name))
        for thread in threads:
            thread.start()
        try:
            yield check
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


def _process(pipeline: Pipeline) -> Callable[[threading.Event], None]:
    def body(ending: threading.Event) -> None:
        process = pipeline.process()
        while not ending.is_set():
            process.step(0.1)
        process.catch_up()

    return body


def _archive(pipeline: Pipeline) -> Callable[[threading.Event], None]:
    def body(ending: threading.Event) -> None:
        archive = pipeline.archive()
        while not ending.is_set():
            archive.step(0.1)
        archive.catch_up()

    return body


@contextmanager
def progress(name: str, total: int) -> Iterator[Tell]:
    """A bar with per cent and the time left on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda done, words: None
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
        task = bar.add_task(name, total=total, words="")
        yield lambda done, words: bar.update(task, completed=min(done, total), words=words)
