"""The JSON form of the values in `types.py`: what the store keeps, a server streams and `ask --json` prints.

A dataclass becomes an object of its fields, a Decimal or a date its text, a tuple a list. Reading goes by the type
hints of the class, so a typed field comes back as the value it was. What stands in a field of type Any (a tool's
arguments and result) comes back as plain JSON: a Decimal in there stays text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from shopbot.errors import UsageError
from shopbot.types import EVENT_NAMES, Event

Value = TypeVar("Value")
Reader = Callable[[Any], Any]


def dumps(value: Any) -> str:
    """JSON text of a value of `types.py`, or of lists and mappings of them.

    Raises:
        UsageError: there is something inside that JSON cannot say: an object of another kind, NaN, infinity, a cycle.
    """
    try:
        text = _encoder().encode(value)
        # Half of a surrogate pair, which a client may send as an escape, is no Unicode: it becomes "?".
        return text.encode("utf-8", "replace").decode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise UsageError(f"{type(value).__name__} cannot be written as JSON: {problem}") from problem


def to_json(value: Any) -> Any:
    """The value as plain dicts, lists, strings and numbers. Raises UsageError as `dumps` does."""
    return json.loads(dumps(value))


def from_json(kind: type[Value], data: Any) -> Value:
    """A `kind` out of what `to_json` made of it.

    Keys that `kind` does not know are passed over and missing ones take their default, so that what an older or a
    newer shopbot has stored can be read.

    Raises:
        UsageError: `data` is not of that form.
    """
    try:
        return _reader(kind)(data)
    except (TypeError, ValueError, ArithmeticError, AttributeError) as problem:
        raise UsageError(f"this JSON is no {getattr(kind, '__name__', kind)}: {problem}") from problem


def event_to_json(event: Event) -> dict[str, Any]:
    """The event's fields, with its name under "event"."""
    return {"event": type(event).__name__, **to_json(event)}


def event_from_json(data: Mapping[str, Any]) -> Event:
    """The event that `event_to_json` wrote. Raises UsageError for a name that is not in EVENT_NAMES."""
    name = str(data.get("event"))
    if name not in EVENT_NAMES:
        raise UsageError(f"no event is called {name!r}; known: {', '.join(EVENT_NAMES)}")
    return from_json(EVENT_NAMES[name], data)


# ---------------------------------------------------------------- writing: what json itself cannot


@cache
def _encoder() -> json.JSONEncoder:
    return json.JSONEncoder(default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {name: getattr(value, name) for name in _field_names(type(value))}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


# ---------------------------------------------------------------- reading: one reader a type hint, made once


@cache
def _reader(hint: Any) -> Reader:
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_read_fields, hint)
    if hint is Decimal:
        return Decimal
    if hint is date:
        return date.fromisoformat
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return partial(_read_tuple, _reader(arguments[0]))
    if origin is Mapping:
        return partial(_read_mapping, _reader(arguments[1]))
    if origin in (Union, UnionType) and NoneType in arguments and len(arguments) == 2:
        return partial(_read_optional, _reader(next(kind for kind in arguments if kind is not NoneType)))
    return _as_it_is


@cache
def _field_readers(kind: type[Any]) -> dict[str, Reader]:
    hints = get_type_hints(kind)
    return {name: _reader(hints[name]) for name in _field_names(kind)}


def _read_fields(kind: type[Any], data: Mapping[str, Any]) -> Any:
    return kind(**{name: read(data[name]) for name, read in _field_readers(kind).items() if name in data})


def _read_tuple(read: Reader, data: list[Any]) -> tuple[Any, ...]:
    return tuple(map(read, data))


def _read_mapping(read: Reader, data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: read(value) for key, value in data.items()}


def _read_optional(read: Reader, data: Any) -> Any:
    return None if data is None else read(data)


def _as_it_is(data: Any) -> Any:
    return data
