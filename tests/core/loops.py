"""Both event loops there are: asyncio's own, on which tests and libraries run, and uvloop, on which a session runs."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import Parameter, signature
from typing import Any

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make two tests of one: a run on each event loop."""

    def run(loop: str, **given: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(test(**given))

    shape = signature(test)
    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    given = list(shape.parameters.values())
    run.__signature__ = shape.replace(parameters=[*given, Parameter("loop", Parameter.KEYWORD_ONLY)])
    return pytest.mark.parametrize("loop", LOOPS)(run)
