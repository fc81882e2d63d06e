"""`tickhouse journal`: the durable log itself, in a file or on Kafka: create, topics, tail, lag, reset."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tickhouse.cli.common import MOST_LAST, Config, Data, Json, emit_json, existing, say, settings
from tickhouse.core.errors import BadSetting, HouseLocked

if TYPE_CHECKING:
    from tickhouse.core.batches import Record
    from tickhouse.core.settings import Settings
    from tickhouse.journal import Journal, Tells, Topic

commands = typer.Typer(help="The durable log: its topics, what is in them, who is how far.", no_args_is_help=True)
FOLLOW_SECONDS, PATIENCE = 0.5, 10
PROCESS, PUBLISH = "process", "publish"
"""The publishing of the bars and anomalies of `process.0of8` is no group of the journal's; here it is `publish.0of8`."""
TOPICS = ("raw", "ticks")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(commands, name="journal")


@contextmanager
def _opened(found: "Settings") -> Iterator["Journal"]:
    from tickhouse.steps import chosen

    journal = chosen.journal(found)
    try:
        yield journal
    finally:
        journal.close()


@commands.command()
def create(
    source: Annotated[
        list[str] | None, typer.Option("--source", help="A source whose topic is made beforehand.")
    ] = None,
    as_json: Json = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Make what the journal of the settings lacks: its file, or its topics on Kafka, with partitions and retention as they must be.

    Example: tickhouse journal create --source binance --config cluster.toml
    """
    from tickhouse.core.secrets import without_password
    from tickhouse.steps.notes import made

    found = settings(data, config)
    made(found.data)
    with _opened(
        found.model_copy(update={"journal": found.journal.model_copy(update={"url": _making(found.journal.url)})})
    ) as one:
        new = list(getattr(one, "created", ()))
        new += one.create(source or ()) if hasattr(one, "create") else []
    if as_json:
        emit_json({"journal": without_password(found.journal_url), "made": new})
    else:
        typer.echo(
            "\n".join(f"made {name}" for name in new)
            or f"{without_password(found.journal_url)} is there, and lacks nothing"
        )


def _publish(journal: "Tells", group: str, position: int) -> None:
    """Have the bars and anomalies of a group published again from a position on."""
    if group not in (noted := journal.published()):
        known = ", ".join(name.replace(PROCESS, PUBLISH, 1) for name in noted) or "nothing yet"
        raise BadSetting("group", group.replace(PROCESS, PUBLISH, 1), f"what was published ({known})")
    with closing(journal.publisher(group)) as out:
        out.begin()
        for _ in range(PATIENCE):
            if out.commit(position, 1.0):
                return
        raise out.silent()


def _making(url: str) -> str:
    """The URL with leave to make topics."""
    return f"{url}{'&' if '?' in url else '?'}create=yes" if url.startswith("kafka:") else url


@commands.command()
def topics(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """Every topic with what it begins and ends at: offsets on Kafka, positions in a file.

    Example: tickhouse journal topics
    """
    with _opened(existing(data, config)) as journal:
        known = getattr(journal, "topics", None)
        span = {"partition": 0, "begin": journal.begin(), "end": journal.end()}
        rows = known() if known else [{"topic": name, **span} for name in TOPICS]
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['begin']:>12}  {row['end']:>12}  {row['topic']}[{row['partition']}]")


@commands.command()
def tail(
    topic: Annotated[str, typer.Option("--topic", help="raw: messages as received; ticks: what they mean.")] = "raw",
    last: Annotated[
        int, typer.Option("--last", min=0, max=MOST_LAST, help="Begin so many messages before the end.")
    ] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """The newest messages or ticks, one JSON object a line.

    Example: tickhouse journal tail --topic ticks --last 5
    """
    if topic not in TOPICS:
        raise BadSetting("--topic", topic, " or ".join(TOPICS))
    with _opened(existing(data, config)) as journal:
        position = max(journal.begin(), journal.end() - last)
        while True:
            while records := journal.read(cast("Topic", topic), position):
                for record in records:
                    for row in _rows(record, position):
                        emit_json(row)
                position = records[-1].end
            if not follow:
                return
            journal.wait(position, FOLLOW_SECONDS)


def _rows(record: "Record", position: int) -> Iterator[dict[str, Any]]:
    """The messages or ticks of a record from a position on."""
    from tickhouse.core.times import rfc3339

    if record.raw is not None:
        about = {"source": record.source, "channel": record.channel, "lane": record.lane}
        times = record.raw.received_at.tolist()
        for number, payload in enumerate(record.raw.payloads()):
            if record.first + number >= position:
                told = {"position": record.first + number, **about, "received_at": rfc3339(times[number])}
                yield {**told, "message": payload.decode(errors="replace")}
    elif record.ticks is not None:
        yield from (row for row in record.ticks.to_arrow().to_pylist() if row["raw"] >= position)


@commands.command()
def lag(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """How far each consumer group is, and how many messages wait for it.

    Example: tickhouse journal lag
    """
    from tickhouse.journal import Tells

    with _opened(existing(data, config)) as journal:
        end = journal.end()
        groups = dict(journal.groups())
        if isinstance(journal, Tells):
            groups |= {name.replace(PROCESS, PUBLISH, 1): position for name, position in journal.published().items()}
        rows = [{"group": name, "position": at, "end": end, "behind": end - at} for name, at in groups.items()]
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['group']}: at position {row['position']:,} of {row['end']:,}; {row['behind']:,} wait for it")
    if not rows:
        typer.echo("no group has read from this journal yet")


@commands.command()
def reset(
    group: Annotated[str, typer.Argument(help="Such as archive; on Kafka also publish.")],
    to: Annotated[str, typer.Option("--to", help="A position, or begin or end.")] = "begin",
    data: Data = None,
    config: Config = None,
) -> None:
    """Have a consumer group go on at another position; the role of that name must not run.

    What it has done is done: the archive finds objects that it wrote before, and processing goes on from the state in the warm
    store in any case (`tickhouse replay` makes a house anew). `publish` is what publishes bars and anomalies on Kafka.

    Example: tickhouse journal reset archive --to begin
    """
    from tickhouse.journal import Tells
    from tickhouse.steps import locks

    found = existing(data, config)
    role = PROCESS if (role := group.partition(".")[0]) == PUBLISH else role
    holder = locks.holder(found.data, role)
    if holder is not None:
        raise HouseLocked(f"process {holder or 'of several'} has the role {role!r}; stop it first")
    with _opened(found) as journal:
        begin, end = 0 if group.startswith(PUBLISH) else journal.begin(), journal.end()
        given = {"begin": begin, "end": end}.get(to)
        position = given if given is not None else int(to) if to.isdigit() else -1
        if not begin <= position <= end:
            raise BadSetting("--to", to, f"begin, end or a position from {begin} to {end}")
        if group.startswith(PUBLISH) and isinstance(journal, Tells):
            _publish(journal, group.replace(PUBLISH, PROCESS, 1), position)
        elif group not in journal.groups():
            known = ", ".join(journal.groups()) or "none yet"
            raise BadSetting("group", group, f"a group that has read from this journal ({known})")
        else:
            journal.commit(group, position)
    say(f"{group} goes on at position {position}")
