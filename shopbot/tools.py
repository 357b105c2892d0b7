"""Tools: a function is a tool. Its signature is the schema, its docstring the description.

    @shop_tool
    def get_order(order_id: OrderId, shopper: Shopper, data: ShopData) -> dict[str, Any]:
        '''One order of the shopper, whole.'''

What a model may choose (`order_id`) is in the schema; what it must never choose (`Shopper`, the shop's data) is
injected by type and is not. Ids say whose they are: `Owned` ones must be the shopper's, `Public` ones must exist.
A call to a tool that reads goes through `Toolbox.call`, one to a tool that writes through `Actions`, whoever planned it:
both check before anything runs and never raise for a bad call. The outcome is a `ToolCall` with a status.
"""

from __future__ import annotations

import inspect
import types
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from datetime import date, datetime
from threading import Thread
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

from langchain_core.tools import BaseTool
from langchain_core.tools.base import create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ValidationError

from shopbot.errors import ToolError, UsageError
from shopbot.types import Shopper, ToolCall


@dataclass(frozen=True, slots=True)
class Owned:
    """Marks an id that must belong to the shopper: `Annotated[str, Owned("order")]`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Public:
    """Marks an id that anybody may name, but that must exist: `Annotated[str, Public("product")]`."""

    kind: str


OrderId = Annotated[str, Owned("order")]
ItemId = Annotated[str, Owned("item")]
"""The sku of something that the shopper ordered. Whether it is in the order meant, the tool checks."""
PaymentId = Annotated[str, Owned("payment")]
UserId = Annotated[str, Owned("user")]
ProductId = Annotated[str, Public("product")]
VariantId = Annotated[str, Public("variant")]
"""The sku of something in the catalog, such as what is wanted in exchange."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Injected into a tool that writes: the same for every try of one action. Pass `str(key)` to systems that take one."""

    value: str

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Today:
    """Injected into a tool: the shop's time, which no tool reads from the system's clock."""

    clock: Callable[[], datetime]

    @property
    def date(self) -> date:
        """The shop's day."""
        return self.clock().date()


MOST_LATE = 8
"""Calls of one tool that took too long and still have not ended; with so many of them it is not called again."""

Resolver = Callable[[str, Shopper], str | None]
"""Declared once per type of id: the id in the shop's own spelling if this shopper may name it, else None."""


class Refusal(Exception):
    """Raised by a tool that will not do what is asked; the reason is told to the shopper, in Chinese where `zh` says it."""

    def __init__(self, reason: str, zh: str = "") -> None:
        super().__init__(reason)
        self.zh = zh

    def as_result(self) -> dict[str, Any]:
        """The result of a call that was refused."""
        return {"reason": str(self), **({"zh": self.zh} if self.zh else {})}


class NeedsPerson(Refusal):
    """Raised by a tool where the shop's rules leave the decision to a person: the conversation is handed over."""

    def as_result(self) -> dict[str, Any]:
        """The result of a call that only a person may make."""
        return {**super().as_result(), "needs_person": True}


class ShopTool(BaseTool):
    """A tool of the shop. It `needs_login` where its function takes a `Shopper`; `injected` maps parameter to type.

    A tool that writes may have a `preview`, which tells what would happen or refuses, and a `lookup`, which tells by key
    what an earlier try brought (None: nothing happened). Both take what they need of the tool's own parameters, by name.
    `intent` is that of a message which asks for it; a shopper may have it done `daily` times in 24 hours, then a person
    decides (None: as often as they like).
    """

    function: Callable[..., Any]
    writes: bool = False
    preview: Callable[..., Any] | None = None
    lookup: Callable[..., Any] | None = None
    timeout: float = 30.0
    intent: str = ""
    daily: int | None = None
    needs_login: bool = False
    injected: dict[str, Any]
    ids: dict[str, Any]

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        raise UsageError(
            f"{self.name} needs to know whose data it may see: call it through a Toolbox, "
            "which injects the shopper and checks ownership."
        )

    @property
    def openai_schema(self) -> dict[str, Any]:
        """The tool in OpenAI's function form, as a model sees it."""
        return convert_to_openai_tool(self)


def shop_tool(
    function: Callable[..., Any] | None = None,
    *,
    writes: bool = False,
    preview: Callable[..., Any] | None = None,
    lookup: Callable[..., Any] | None = None,
    timeout: float = 30.0,
    intent: str = "",
    daily: int | None = None,
) -> Any:
    """Make a `ShopTool` of a function; bare (`@shop_tool`) or with arguments (`@shop_tool(writes=True)`).

    `timeout` is in seconds: a call that takes longer has failed, an action is `unknown` until it ends. Parameters annotated with a plain
    class (`Shopper`, `ShopData`, …) that is neither a JSON type nor a pydantic model are injected.

    Raises TypeError for a function without a docstring or with an unannotated parameter.
    """

    def make(function: Callable[..., Any]) -> ShopTool:
        name = function.__name__
        if not function.__doc__:
            raise TypeError(f"@shop_tool {name}: write a docstring; it is what a model reads to choose the tool.")
        hints = _parameters(function)
        injected = {key: hint for key, hint in hints.items() if _is_injected(hint)}
        schema = create_schema_from_function(name, function, filter_args=list(injected), parse_docstring=False)
        return ShopTool(
            name=name,
            description=inspect.cleandoc(function.__doc__),
            args_schema=schema,
            function=function,
            writes=writes,
            preview=preview,
            lookup=lookup,
            timeout=timeout,
            intent=intent or name,
            daily=daily,
            needs_login=Shopper in injected.values(),
            injected=injected,
            ids={key: mark for key, hint in hints.items() if (mark := _id_mark(hint)) is not None},
        )

    return make if function is None else make(function)


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    hints = get_type_hints(function, include_extras=True)
    missing = [name for name in inspect.signature(function).parameters if name not in hints]
    if missing:
        raise TypeError(f"@shop_tool {function.__name__}: annotate {', '.join(missing)}.")
    hints.pop("return", None)
    return hints


def _is_injected(hint: Any) -> bool:
    plain = (str, int, float, bool, list, dict, tuple, set)
    return inspect.isclass(hint) and not issubclass(hint, (*plain, BaseModel)) and get_origin(hint) is None


def _id_mark(hint: Any) -> Owned | Public | None:
    """The Owned or Public mark of a hint, looked for inside lists and optional types too."""
    if get_origin(hint) is Annotated:
        marks = [mark for mark in hint.__metadata__ if isinstance(mark, Owned | Public)]
        if marks:
            return marks[0]
    if get_origin(hint) in (list, tuple, Union, types.UnionType, Annotated):
        return next((mark for part in get_args(hint) if (mark := _id_mark(part)) is not None), None)
    return None


class Toolbox:
    """The tools of one shop over one copy of its data; the one door to them for every planner.

    `resolvers` maps a kind of id to its `Resolver`; `values` maps a type to what is injected for it.
    """

    def __init__(
        self, tools: Sequence[ShopTool], resolvers: Mapping[str, Resolver], values: Mapping[type[Any], Any]
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._resolvers = resolvers
        self._values = values
        self._late: Counter[str] = Counter()
        for tool in tools:
            self._check(tool)

    def _check(self, tool: ShopTool) -> None:
        """Raises UsageError for a tool that asks for what nobody provides: now, and not in a shopper's turn."""
        for kind in tool.injected.values():
            if kind not in (Shopper, IdempotencyKey):
                self._value(tool, kind)

    @property
    def tools(self) -> tuple[ShopTool, ...]:
        return tuple(self._tools.values())

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    def call(self, name: str, arguments: Mapping[str, Any], shopper: Shopper, call_id: str = "") -> ToolCall:
        """Check and run one call. A call that may not run comes back `refused`, one that broke `failed`.

        Raises UsageError for a tool that writes: only `Actions` runs those, after a yes.
        """
        if self.writes(name):
            raise UsageError(f"{name} writes: propose it through Actions, which runs it once and after a yes")
        try:
            tool = self._known(name)
            ready = self._checked(tool, arguments, shopper)
        except Refusal as refusal:
            return ToolCall(name, dict(arguments), "refused", refusal.as_result(), call_id)
        return self._run(tool, ready, shopper, call_id)

    def writes(self, name: str) -> bool:
        """Whether there is such a tool and it changes something."""
        return name in self._tools and self._tools[name].writes

    def checked(self, name: str, arguments: Mapping[str, Any], shopper: Shopper) -> tuple[ShopTool, dict[str, Any]]:
        """The tool and its arguments with ids in the shop's spelling. Raises Refusal where `call` would refuse."""
        tool = self._known(name)
        return tool, self._checked(tool, arguments, shopper)

    def apply(
        self, tool: ShopTool, part: Callable[..., Any], ready: Mapping[str, Any], shopper: Shopper, key: str = ""
    ) -> Any:
        """Run a tool's function, preview or lookup on checked arguments, with what it asks for injected."""
        given = {**ready, **self._injected(tool, shopper, key)}
        return part(**{name: given[name] for name in inspect.signature(part).parameters if name in given})

    def apply_in_time(
        self, tool: ShopTool, part: Callable[..., Any], ready: Mapping[str, Any], shopper: Shopper, key: str = ""
    ) -> Any:
        """As `apply`, for what changes nothing. Raises ToolError where it takes longer than the tool's `timeout`.

        It runs in a thread of its own, which is left behind then: in a shared one, a few calls that hang would stop every turn.
        """
        if self._late[tool.name] >= MOST_LATE:
            raise ToolError(f"{MOST_LATE} earlier calls have not come back yet")
        outcome: Future[Any] = Future()

        def work() -> None:
            try:
                outcome.set_result(self.apply(tool, part, ready, shopper, key))
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                outcome.set_exception(error)

        Thread(target=copy_context().run, args=(work,), daemon=True).start()
        if wait([outcome], tool.timeout).not_done:
            self._late[tool.name] += 1
            outcome.add_done_callback(lambda _: self._late.subtract([tool.name]))
            raise ToolError(f"no answer in {tool.timeout:g} s")
        return outcome.result()

    def _known(self, name: str) -> ShopTool:
        if name not in self._tools:
            raise Refusal(f"There is no tool named {name!r}.")
        return self._tools[name]

    def _checked(self, tool: ShopTool, arguments: Mapping[str, Any], shopper: Shopper) -> dict[str, Any]:
        if tool.needs_login and shopper.is_visitor:
            raise Refusal("log in first")
        schema = cast("type[BaseModel]", tool.args_schema)
        try:
            model = schema.model_validate(dict(arguments))
        except ValidationError as error:
            raise Refusal(_explain(error)) from None
        ready = {key: getattr(model, key) for key in schema.model_fields}
        return {key: self._owned(tool, key, value, shopper) for key, value in ready.items()}

    def _owned(self, tool: ShopTool, key: str, value: Any, shopper: Shopper) -> Any:
        """Ids in the shop's spelling. One refusal for "not yours" and "not there": no one learns which ids exist."""
        mark = tool.ids.get(key)
        if mark is None or value is None:
            return value
        if isinstance(value, list | tuple):
            return [self._owned(tool, key, part, shopper) for part in cast("list[Any]", value)]
        found = self._resolvers[mark.kind](str(value), shopper)
        if found is None:
            where = "among your records" if isinstance(mark, Owned) else "in the shop"
            raise Refusal(f"{mark.kind} {value} is not {where}")
        return found

    def _run(self, tool: ShopTool, ready: dict[str, Any], shopper: Shopper, call_id: str) -> ToolCall:
        try:
            result = self.apply_in_time(tool, tool.function, ready, shopper, call_id)
        except Refusal as refusal:
            return ToolCall(tool.name, ready, "refused", refusal.as_result(), call_id)
        except Exception as error:  # noqa: BLE001 - a shop's tool may raise anything; the turn must survive it
            return ToolCall(tool.name, ready, "failed", {"reason": f"{type(error).__name__}: {error}"}, call_id)
        return ToolCall(tool.name, ready, "done", result, call_id)

    def _injected(self, tool: ShopTool, shopper: Shopper, key: str) -> dict[str, Any]:
        known: dict[type[Any], Any] = {Shopper: shopper, IdempotencyKey: IdempotencyKey(key)}
        return {name: known.get(kind) or self._value(tool, kind) for name, kind in tool.injected.items()}

    def _value(self, tool: ShopTool, kind: type[Any]) -> Any:
        if kind not in self._values:
            known = ", ".join(sorted(each.__name__ for each in self._values))
            raise UsageError(f"tool {tool.name} asks for a {kind.__name__}, which nobody provides (there are: {known})")
        return self._values[kind]


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"argument {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
