"""From tickhouse.toml, .env and the environment to `Settings`; the one place where pydantic's errors become ours."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from tickhouse.core.errors import BadSetting, nearest
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import Settings

FILE = "tickhouse.toml"
PREFIX = "TICKHOUSE_"
NESTED = "__"


class _Environment(BaseSettings, Settings):
    """The shape that the environment is read by."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=NESTED, env_ignore_empty=True, enable_decoding=False, extra="ignore"
    )


def read(path: Path | None, data: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """The settings; see `settings.load`."""
    given = _nested(overrides) | ({"data": data} if data else {})
    here = _environment(Path.cwd())
    house = Path(str(given.get("data") or here.get("data") or "data"))
    file = _file(path, house)
    values = _toml(file) if file else {}
    if file and "data" in values:
        values["data"] = house if file.parent == house else _beside(file, values["data"])
    elif file and file.parent == house:
        values["data"] = house
    environment = _environment(file.parent if file else Path.cwd())
    return validated(merged(merged(values, environment), given))


def validated(values: Mapping[str, Any]) -> Settings:
    """The settings of plain values. Raises `BadSetting`."""
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        raise _translated(error) from error


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, all levels deep; `over` wins.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides such as `serve__port=1` as nested mappings; None stands for not given."""
    result: dict[str, Any] = {}
    for name, value in overrides.items():
        if value is not None:
            for key in reversed(name.split(NESTED)):
                value = {key: value}  # noqa: PLW2901
            result = merged(result, value)
    return result


def _file(path: Path | None, house: Path) -> Path | None:
    if path is not None:
        if not path.is_file():
            raise BadSetting("config", str(path), "a settings file that exists; `tickhouse init` writes one")
        return path
    return next((file for file in (Path(FILE), house / FILE) if file.is_file()), None)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(str(file), str(error), "a TOML file") from error
    except OSError as error:
        raise BadSetting("config", str(file), f"a file that can be read ({error.strerror})") from error


def _beside(file: Path, data: Any) -> Any:
    return file.parent / data if isinstance(data, str) else data


def _environment(folder: Path) -> dict[str, Any]:
    """What `.env` of the folder and of the working folder, and the environment, say."""
    files = [file for file in dict.fromkeys((folder / ".env", Path(".env"))) if file.is_file()]
    names = [name for file in files for name in dotenv_values(file)] + list(os.environ)
    _refuse_unknown(names)
    dotenv = DotEnvSettingsSource(_Environment, env_file=files, dotenv_filtering="only_existing")
    return merged(dotenv(), EnvSettingsSource(_Environment)())


def _refuse_unknown(names: Iterable[str]) -> None:
    """A variable with our prefix that begins no section is a mistake, and no mistake is passed over."""
    known = list(Settings.model_fields)
    for name in names:
        if name.upper().startswith(PREFIX):
            first = name[len(PREFIX) :].lower().split(NESTED)[0]
            if first not in known:
                raise BadSetting(name, first, _known(first, known))


def _translated(error: ValidationError) -> BadSetting:
    """The first fault, in our words; a secret's text never appears."""
    fault = error.errors(include_url=False, include_context=True)[0]
    path = fault["loc"]
    key = ".".join(str(part) for part in path if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return BadSetting(key, str(path[-1]), _known(str(path[-1]), _fields(path[:-1])))
    return BadSetting(key, _shown(path, fault["input"]), _expected(fault))


def _expected(fault: Mapping[str, Any]) -> str:
    """What pydantic says it wants, without its own vocabulary."""
    own = {"string_pattern_mismatch": "a name such as vwap or sma(20)", "dict_type": "a table of settings"}
    own |= {"model_type": "a table of settings", "path_type": "the path of a folder", "string_type": "a text"}
    own |= {"int_parsing": "a whole number", "int_from_float": "a whole number", "float_parsing": "a number"}
    own |= {"too_short": "at least one", "bool_parsing": "true or false", "missing": "a value"}
    said = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return own.get(fault["type"], str(said))


def _known(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"a known key{f'; did you mean {near!r}?' if near else ''} (known: {', '.join(known)})"


def _shown(path: tuple[str | int, ...], given: Any) -> Any:
    """What may be shown of a value that was given."""
    if any(part == "key" for part in path) or isinstance(given, Secret):
        return Secret("")
    if isinstance(given, list | tuple) and not given:
        return []
    return given if isinstance(given, str | int | float | None) else type(given).__name__


def _fields(path: tuple[str | int, ...]) -> list[str]:
    """The keys of the section that a path leads to."""
    model: Any = Settings
    for part in path:
        field: FieldInfo | None = model.model_fields.get(part) if _is_section(model) else None
        model = field.annotation if field else (get_args(model) or [None])[-1]
    return list(model.model_fields) if _is_section(model) else []


def _is_section(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)
