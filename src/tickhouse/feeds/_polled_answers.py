"""What an HTTP answer stands for, as far as it is the same for every polled provider.

A feed asks in this order, and the first error counts: `unreadable` (text or a web page where JSON is due), `too_fast` (the
status says so), its own reading of the body, `by_status`. What a provider wrote is never shown: it may repeat the key.
"""

from dataclasses import dataclass

from tickhouse.core.errors import BadCredentials, BadMessage, BadSetting, NoData, RateLimited, Unreachable
from tickhouse.core.requests import Answer

FIREWALL_SECONDS = 300.0
"""How long a firewall that refuses is left alone when it does not say."""
SPEED_WORDS = (b"throttled", b"too many requests", b"rate limit", b"limit reach", b"error code: 1015", b"rate-limited")
KEPT = 4096


@dataclass(frozen=True, slots=True)
class Judge:
    """Speaks of a provider by its `title`; `feed` is its section in the settings, `wait` the seconds to stay away when asked
    too often and not told how long."""

    title: str
    feed: str
    wait: float = 60.0

    def unreadable(self, answer: Answer) -> Exception | None:
        """The error of an answer that is no JSON, None for JSON and for a redirect."""
        text = answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")
        if text[:1] in (b"{", b"[") or 300 <= answer.status < 400:
            return None
        words = text[:KEPT].lower()
        if answer.status in (418, 429) or any(word in words for word in SPEED_WORDS):
            return self.limited(answer)
        page = text[:1] == b"<" and not words.startswith(b"<?xml")
        if answer.status == 403 and (page or not text):
            return RateLimited(
                f"a firewall before {self.title} refused the request (403)",
                retry_after=answer.retry_after or FIREWALL_SECONDS,
            )
        if answer.status == 404:
            return BadSetting(f"{self.feed}.url", "an address that says 404", f"a host that speaks {self.title}'s API")
        return self.by_status(answer) or self._no_data(answer, page)

    def too_fast(self, answer: Answer) -> Exception | None:
        """The error of a status that says that we asked too often."""
        return self.limited(answer) if answer.status in (418, 429) else None

    def limited(self, answer: Answer) -> RateLimited:
        """Too often, with the seconds to wait."""
        wait = answer.retry_after or self.wait
        return RateLimited(
            f"{self.title} was asked too often; the next request may go out in {wait:.0f} s", retry_after=wait
        )

    def by_status(self, answer: Answer) -> Exception | None:
        """The error of a status that no body explained, None for one of success and for a redirect."""
        status = answer.status
        if 200 <= status < 400:
            return None
        if status >= 500:
            return self.failing(answer)
        if status == 451:
            return BadSetting(f"{self.feed}.url", "an address that says 451", "a host that serves this place")
        if status in (401, 402, 403):
            return BadCredentials(f"{self.title} does not allow this with the key and plan at hand (status {status})")
        if status == 404:
            return NoData(f"{self.title} has nothing under what was asked for (404)")
        return BadMessage(f"{self.title} does not take the request (status {status})")

    def failing(self, answer: Answer) -> Unreachable:
        """The provider's own failure."""
        status = f" (status {answer.status})" if answer.status >= 500 else ""
        return Unreachable(f"{self.title} fails on its side{status}", retry_after=answer.retry_after)

    def _no_data(self, answer: Answer, page: bool) -> Exception:
        if page:
            return Unreachable(f"a web page came back instead of data of {self.title}: something between us answered")
        what = "something that is not JSON" if answer.body.strip() else "nothing"
        return BadMessage(f"{self.title} answered {what}", sent=answer.body[:KEPT])
