"""Whether what the warm store holds can be used: its file, and the state of the engine in it."""

from tickhouse.core.errors import TickhouseError
from tickhouse.process.state import unpacked
from tickhouse.steps.process import GROUP
from tickhouse.stores import Warm


def stored(warm: Warm) -> tuple[list[str], int]:
    """One sentence for each fault, and how many rows were read."""
    rows, faults = warm.verify()
    found = [*faults]
    try:
        for group in warm.parts(GROUP):
            checkpoint = warm.checkpoint(group)
            if checkpoint is not None:
                unpacked(checkpoint.state)
    except TickhouseError as error:
        found.append(str(error))
    return found, rows
