"""The commented tickhouse.toml and .env that `tickhouse init` writes, made from the settings themselves."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from tickhouse.core.quantities import duration_text, size_text
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import Section, Settings

_HEAD = """\
# Settings of a tickhouse. Everything here is the default: keep what you change, the rest may go.
# The environment and .env win over this file: serve.port is TICKHOUSE_SERVE__PORT.
# Durations are texts such as "500ms", "5s", "5m", "24h"; sizes such as "64MiB".
"""

_ENV_HEAD = """\
# Secrets of a tickhouse; keep this file out of version control.
# Any setting can be given here: the key in upper case after TICKHOUSE_, with two underscores for each dot.
"""


def toml(settings: Settings) -> str:
    """The settings as a commented TOML file; what has no value yet is commented out with an example."""
    return _HEAD + "\n".join(_section(settings, ()))


def env(settings: Settings) -> str:
    """A .env file with every secret, commented out, and examples of other settings."""
    lines = [f"# {_variable(path)}=\n" for path, field in _walk(settings, ()) if is_secret(field)]
    others = [("data",), ("serve", "port"), ("log", "level"), ("feeds", "binance", "symbols")]
    return _ENV_HEAD + "".join(lines) + "".join(f"# {_variable(path)}={_plain(settings, path)}\n" for path in others)


def is_secret(field: FieldInfo) -> bool:
    """Whether the value of a setting must not be seen."""
    return Secret in (field.annotation, *(a for arg in get_args(field.annotation) for a in (arg, *get_args(arg))))


def _section(section: Section, path: tuple[str, ...]) -> Iterator[str]:
    """The lines of a section: its values first, then the sections in it, as TOML wants it."""
    fields = type(section).model_fields
    inner: dict[str, Section] = {}
    for name, field in fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            inner[name] = value
        elif isinstance(value, Mapping) and any(isinstance(item, Section) for item in value.values()):
            inner |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            yield from _value(name, field, value)
    for name, item in inner.items():
        heading = ".".join((*path, name))
        yield from ("", f"# {(type(item).__doc__ or '').splitlines()[0]}", f"[{heading}]")
        yield from _section(item, (*path, name))


def _value(name: str, field: FieldInfo, value: Any) -> Iterator[str]:
    comment = f"  # {field.description}" if field.description else ""
    if value is None or isinstance(value, Secret):
        yield f"# {name} = {_text(field, (field.examples or [''])[0])}{comment}"
    else:
        yield f"{name} = {_text(field, value)}{comment}"


def _text(field: FieldInfo, value: Any) -> str:
    """A value as TOML writes it."""
    if "duration" in field.metadata:
        return json.dumps(duration_text(value))
    if "size" in field.metadata:
        return json.dumps(size_text(value))
    if isinstance(value, tuple):
        return "[" + ", ".join(json.dumps(item) for item in value) + "]"
    if isinstance(value, Mapping):
        items = ", ".join(f"{json.dumps(key)} = {json.dumps(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _walk(section: Section, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        yield (*path, name), field
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        for key, item in parts:
            if isinstance(item, Section):
                yield from _walk(item, (*path, name, key) if key else (*path, name))


def _variable(path: tuple[str, ...]) -> str:
    return "TICKHOUSE_" + "__".join(part.upper() for part in path)


def _plain(settings: Settings, path: tuple[str, ...]) -> str:
    value: Any = settings
    for part in path:
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return ",".join(value) if isinstance(value, tuple) else str(value)
