"""What is said to a database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


def questions(ask: Callable[[], object]) -> list[tuple[str, Any]]:
    """Every statement of a call that looks for rows, with its values, in order."""
    seen: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "DELETE")) and "advisory" not in statement:
            seen.append((statement, values))

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        ask()
    finally:
        event.remove(Engine, "before_cursor_execute", keep)
    return seen
