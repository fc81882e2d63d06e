"""Drives the requests of a feed without a network: what is asked, and what comes of a refusal."""

from collections.abc import Callable, Generator

from tickhouse.core.errors import Final
from tickhouse.core.requests import Answer, Request
from tickhouse.feeds import Feed

Conversation = Generator[Request, Answer, None]
Answers = Callable[[Request], Answer]


def asked(
    feed: Feed, conversation: Conversation, answers: Answers
) -> tuple[list[Request], list[Answer], Exception | None]:
    """Every request, the answers that would be journaled, and the error that the conversation ended with.

    A final refusal is thrown in, as `core/transport.py` does.
    """
    requests: list[Request] = []
    kept: list[Answer] = []
    try:
        request = next(conversation)
        while True:
            requests.append(request)
            answer = answers(request)
            error = feed.classify(answer)
            if isinstance(error, Final):
                request = conversation.throw(error)
                continue
            if error is not None:
                raise error
            if request.channel:
                kept.append(answer)
            request = conversation.send(answer)
    except StopIteration:
        return requests, kept, None
    except Exception as error:
        return requests, kept, error
