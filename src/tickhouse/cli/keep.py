"""Commands that look after a house: quarantine, doctor, verify, backup, copy, db, init."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tickhouse.cli.common import MOST_LAST, Config, Data, Json, emit_json, existing, opened, say, settings

quarantine = typer.Typer(help="Messages that were not taken, with their bytes and the reason.", no_args_is_help=True)
database = typer.Typer(help="The tables of the warm store.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(quarantine, name="quarantine")
    app.add_typer(database, name="db")
    for command in (doctor, prepare, verify, backup, copy, init):
        app.command()(command)


@quarantine.command("list")
def list_(
    reason: Annotated[str | None, typer.Option("--reason", help="Only these.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_LAST)] = 50, as_json: Json = False, data: Data = None,
    config: Config = None,
) -> None:  # fmt: skip
    """What is in quarantine, oldest first.

    Example: tickhouse quarantine list --reason malformed
    """
    from tickhouse.core.times import rfc3339
    from tickhouse.steps.load import file_of

    with opened(data, config) as house:
        items = house.journal.quarantine(reason, limit)
    rows = [
        {"position": i.position, "source": i.source, "channel": i.channel, "received_at": rfc3339(i.received_at),
         "lane": i.lane, "file": file_of(i.lane) if i.lane.startswith("load:") else None, "reason": i.reason, "detail": i.detail,
         "bytes": len(i.payload)} for i in items
    ]  # fmt: skip
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        typer.echo(
            f"{row['position']:>12}  {row['received_at']}  {row['source']}:{row['channel']}  {row['file'] or row['lane'] or '-'}  "
            f"{row['reason']}: {row['detail']}"
        )
    typer.echo(f"{len(rows)} shown" if rows else "quarantine is empty")


@quarantine.command()
def show(
    position: Annotated[int, typer.Argument(min=0, max=MOST_LAST)], data: Data = None, config: Config = None
) -> None:
    """The bytes of one message, as they came, on standard output.

    Example: tickhouse quarantine show 4711 > message.json
    """
    from tickhouse.core.errors import NoData

    with opened(data, config) as house:
        found = [i for i in house.journal.quarantine(None, 1, position - 1) if i.position == position]
    if not found:
        raise NoData(f"no message with position {position} is in quarantine")
    sys.stdout.buffer.write(found[0].payload)


@quarantine.command("replay")
def replay_(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """Parse everything in quarantine again; what is good now is taken in, corrects its bars, and leaves quarantine.

    Lines of files are read by the layout that their load had, messages of feeds by the feed as the settings have it now.

    Example: tickhouse quarantine replay
    """
    from tickhouse.cli.working import working
    from tickhouse.steps import locks
    from tickhouse.steps.heal import Heal

    with opened(data, config) as house:
        house.check()
        with working(house):
            done = Heal(house.ingest(), house.clock).run()
        waited = house.settings.process.shared  # then what others store was waited for
        other = None if waited else locks.holder(house.settings.data, "process")
    if as_json:
        emit_json({"seen": done.seen, "healed": done.healed, "refused": done.refused, "unread": done.unread})
        return
    typer.echo(f"{done.healed} of {done.seen} messages healed")
    if done.healed and other:
        typer.echo(f"their bars are made again by process {other}, which runs the pipeline of this house")
    for reason, count in done.refused.most_common():
        typer.echo(f"{count:>12}  still refused: {reason}")
    for why, count in done.unread.most_common():
        typer.echo(f"{count:>12}  not parsed: {why}")


@database.command()
def upgrade(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """Bring the tables to the newest version.

    Example: tickhouse db upgrade --data mine
    """
    with opened(data, config) as house:
        version = house.warm.upgrade()
    if as_json:
        emit_json({"version": version})
    else:
        typer.echo(f"the tables are at version {version}")


def prepare(
    wait: Annotated[str, typer.Option("--wait", help="For how long servers that do not answer yet are asked again.")] = "60s",
    as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """Make what the servers of the settings lack (topics, tables), once each of them answers. Harmless where all is there.

    Example: tickhouse prepare --wait 2m
    """
    from tickhouse.core.quantities import seconds
    from tickhouse.pipeline import Pipeline
    from tickhouse.steps.prepare import prepared

    found = settings(data, config)
    done = prepared(lambda: Pipeline(found), seconds(wait))
    if as_json:
        emit_json(done)
    else:
        for part, said in done.items():
            typer.echo(f"{part:<12}{said}")


def verify(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """Read every record of the journal, every object of the lake and the file of the warm store, and name every fault.

    Example: tickhouse verify
    """
    from tickhouse.steps.verify import stored

    with opened(data, config) as house:
        check = house.journal.verify()
        objects, faults = house.lake.verify()
        warm, rows = stored(house.warm)
    found = [*check.faults, *faults, *warm]
    if as_json:
        done = {"records": check.records, "messages": check.messages, "objects": objects, "rows": rows}
        emit_json({**done, "faults": found})
    else:
        typer.echo(f"journal: {check.records:,} records, {check.messages:,} messages; lake: {objects:,} objects")
        typer.echo(f"warm store: {rows:,} rows")
        for fault in found:
            typer.echo(f"FAULT {fault}")
        typer.echo("everything is as it was written" if not found else f"{len(found)} faults")
    if found:
        raise typer.Exit(1)


def backup(
    to: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    as_json: Json = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """A copy of the house that is consistent, also while it runs.

    Example: tickhouse backup /media/disk/house-2026-11-20
    """
    from tickhouse.core.secrets import without_password
    from tickhouse.steps import backup as steps

    found = existing(data, config)
    count, size = steps.copy(found, to)
    if as_json:
        emit_json({"to": str(to), "files": count, "bytes": size})
    else:
        dumped = (to / "postgres.dump").is_file()
        how = f"open it with --data {to}" + (
            ", after `pg_restore` of its postgres.dump into a database" if dumped else ""
        )
        say(f"{count} files, {size / 1e6:,.1f} MB copied to {to}; {how}")
        if not found.lake_url.startswith("file:"):
            say(
                f"the lake stays where it is; `tickhouse copy --from {without_password(found.lake_url)} --to ...` copies it"
            )


def copy(
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="A whole house (its settings file or folder), or one lake (file://, s3://, a folder), journal (sqlite:///, kafka://)"
            " or warm store (sqlite:///, postgresql://).",
        ),
    ],
    end: Annotated[str, typer.Option("--to", help="Where to, likewise.")],
    as_json: Json = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Copy a house, or one of its parts, to other backends; all of it is read back and compared.

    Begun again, it goes on where it stopped; a copy that is whole is only compared. A place that holds something else is refused
    and left as it is. Stop the house first: a pipeline that runs is refused. The old house stays as it is; use one of the two.

    A house: parts with the same URL in both settings stay where they are. Until the copy is whole the new house cannot be opened.

    Example: tickhouse copy --from mine --to cluster.toml
    Example: tickhouse copy --from cluster.toml --to back
    Example: tickhouse copy --from sqlite:///mine/warm.db --to postgresql://tickhouse@db/prices
    Example: tickhouse copy --from sqlite:///mine/journal.db --to 'kafka://host:9092/mine?partitions=8&replication=3'
    Example: tickhouse copy --from file:///srv/house/lake --to 's3://bucket/house?endpoint=https://storage.example&region=eu-1'
    """
    from tickhouse.cli.copying import copied, sentences

    done = copied(start, end, settings(data, config))
    if as_json:
        emit_json(done)
    else:
        for sentence in sentences(done):
            say(sentence)


def doctor(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """Check everything that the settings name, the disk, the house and the network, and say what to do.

    It makes nothing. Exit status 0: all is well, or not there yet; 2: the settings must be changed; 75: only what waiting can
    help, such as the network; 1: another thing.

    Example: tickhouse doctor
    """
    from tickhouse.cli.diagnosis import diagnose

    verdicts = diagnose(settings(data, config))
    if as_json:
        emit_json([{"part": v.part, "ok": v.ok, "message": v.message} for v in verdicts])
    else:
        for verdict in verdicts:
            typer.echo(f"{verdict.word:<5}  {verdict.part}: {verdict.message}")
    raise typer.Exit(min((verdict.status for verdict in verdicts if verdict.status and not verdict.ok), default=0))


def init(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to write the files; the working folder when left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Write them into the folder of this house.")] = None,
    as_json: Json = False,
) -> None:
    """A commented tickhouse.toml and .env.example.

    Example: tickhouse init
    """
    from tickhouse.core.errors import BadSetting
    from tickhouse.core.settings import describe, env_example

    folder = folder or data or Path()
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / "tickhouse.toml": describe(), folder / ".env.example": env_example()}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise BadSetting("folder", ", ".join(there), "a folder without these files, or --force")
    for path, text in files.items():
        path.write_text(text)
        if not as_json:
            typer.echo(f"wrote {path}")
    if as_json:
        emit_json([str(path) for path in files])
