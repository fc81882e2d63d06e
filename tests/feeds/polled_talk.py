"""A conversation with a feed as the transport holds it: refusals that are final are thrown in, the others end it."""

from collections.abc import Callable, Generator

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import Final
from tickhouse.core.requests import Answer, Request
from tickhouse.feeds import Feed

Talked = list[tuple[Request, Answer]]


def talk(feed: Feed, asked: Generator[Request, Answer, None], answer: Callable[[Request], Answer]) -> Talked:
    """Every request with its answer, refusals left out. Raises what the conversation raises."""
    done: Talked = []
    request = next(asked, None)
    while request is not None:
        answered = answer(request)
        refused = feed.classify(answered)
        try:
            if refused is None:
                done.append((request, answered))
                request = asked.send(answered)
            elif isinstance(refused, Final):
                request = asked.throw(refused)
            else:
                raise refused
        except StopIteration:
            return done
    return done


def parsed(feed: Feed, talked: Talked) -> list[Parsed]:
    """What each answer of a conversation means."""
    return [
        feed.parse(RawBatch.of(feed.name, request.channel, [answer.body], answer.received_at))
        for request, answer in talked
    ]
