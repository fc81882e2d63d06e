"""`tickhouse certify`: the conformance suite on a feed, as cards."""

from tickhouse.cli.common import emit_json
from tickhouse.steps.certify import FAILED, certify

STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


def show(feed: str, as_json: bool) -> bool:
    """Run the suite and print its cards; whether none failed."""
    report = certify(feed)
    if as_json:
        emit_json(report.plain())
        return report.passed
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("card", "verdict", "why"):
        table.add_column(name)
    for card in report.cards:
        table.add_row(card.name, f"[{STYLES[card.verdict]}]{card.verdict}[/]", card.why.replace("[", "\\["))
    console = Console()
    console.print(table)
    failed = sum(card.verdict == FAILED for card in report.cards)
    console.print(f"{feed}: {f'{failed} of {len(report.cards)} cards failed' if failed else 'no card failed'}")
    return report.passed
