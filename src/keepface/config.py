"""TOML to frozen dataclasses: an unknown key or a wrong type is an error that names the nearest key."""

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from keepface.errors import RecipeError

Settings = TypeVar("Settings")


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML file into a plain dict.

    Raises:
        RecipeError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such recipe") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML: {error}") from None


def from_dict(cls: type[Settings], data: Mapping[str, Any], where: str) -> Settings:
    """Build the settings dataclass `cls` from plain data; `where` names the source in errors.

    Integers are accepted for floats, lists for tuples, tables for nested dataclasses; nothing else is converted.

    Raises:
        RecipeError: an unknown key (the nearest known one is named), a missing key, or a wrong type.
    """
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}{_nearest(key, known)}")
        values[key] = _convert(hints[key], value, where, key)
    for name, field in known.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in values and not has_default:
            raise RecipeError(f"{where}: key {name!r} is missing; it has no default")
    return cls(**values)


def to_dict(settings: Any) -> dict[str, Any]:
    """Turn a settings dataclass into plain data that `from_dict` reads back; `None` values are left out."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
            return {name: plain(item) for name, item in pairs if item is not None}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return value

    return typing.cast(dict[str, Any], plain(settings))


def override(data: Mapping[str, Any], assignments: typing.Sequence[str]) -> dict[str, Any]:
    """Apply `--set a.b=value` assignments to plain recipe data; values are TOML, bare words are strings.

    Raises:
        RecipeError: an assignment that has no '=' or runs through something that is not a table.
    """
    result: dict[str, Any] = json.loads(json.dumps(data))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise RecipeError(f"--set {assignment}: write it as key=value, such as optim.lr=5e-5")
        *tables, leaf = path.strip().split(".")
        table = result
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise RecipeError(f"--set {assignment}: {name!r} is a value, not a table")
        table[leaf] = _toml_value(text.strip())
    return result


def dump_toml(data: Mapping[str, Any]) -> str:
    """Write plain recipe data (numbers, strings, booleans, flat lists, tables) as TOML text."""
    lines: list[str] = []

    def write(table: Mapping[str, Any], prefix: str) -> None:
        for key, value in table.items():
            if not isinstance(value, Mapping):
                lines.append(f"{key} = {_toml_text(value)}")
        for key, value in table.items():
            if isinstance(value, Mapping):
                lines.extend(["", f"[{prefix}{key}]"])
                write(value, f"{prefix}{key}.")

    write(data, "")
    return "\n".join(lines).strip() + "\n"


def _toml_text(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's, but for surrogate pairs and U+007F.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _nearest(key: str, known: typing.Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(names)}"


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _convert(kind: Any, value: Any, where: str, key: str) -> Any:
    if kind is Any:
        return value
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where, key)
    if origin is typing.Literal:
        if value not in arguments:
            wanted = ", ".join(repr(choice) for choice in arguments)
            raise RecipeError(f"{where}: {key} is {value!r}; it must be one of {wanted}")
        return value
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return from_dict(typing.cast(type, kind), value, f"{where} [{key}]")
    if origin is tuple and isinstance(value, list | tuple):
        return _convert_tuple(arguments, value, where, key)
    if origin is dict and isinstance(value, Mapping):
        return {name: _convert(arguments[1], item, where, f"{key}.{name}") for name, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = origin or kind
    if isinstance(plain, type) and isinstance(value, plain) and not (isinstance(value, bool) and plain is not bool):
        return value
    name = getattr(kind, "__name__", str(kind))
    raise RecipeError(f"{where}: {key} is {value!r} ({type(value).__name__}); it must be a {name}")


def _convert_tuple(kinds: tuple[Any, ...], value: typing.Sequence[Any], where: str, key: str) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_convert(kinds[0], item, where, key) for item in value)
    if len(value) != len(kinds):
        raise RecipeError(f"{where}: {key} has {len(value)} values; it needs {len(kinds)}")
    return tuple(_convert(kind, item, where, key) for kind, item in zip(kinds, value, strict=True))


def _convert_union(choices: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    if value is None and type(None) in choices:
        return None
    problem: RecipeError | None = None
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _convert(choice, value, where, key)
        except RecipeError as error:
            problem = error
    raise problem or RecipeError(f"{where}: {key} is {value!r}")
