"""The oracle: plays what a task lists through the doors that every planner uses, and says the shopper's yes to each write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopbot.actions import Actions
from shopbot.errors import UsageError
from shopbot.journal import Journal
from shopbot.records import Record, ShopData
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Finished, Profile, ToolCall, ToolCalled, Understood

Task = dict[str, Any]
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
USER_ID = re.compile(r"\b[a-z]+_[a-z]+_\d+\b")
ZIP = re.compile(r"\b\d{5}\b")


class Talk:
    """A shopper's session over one copy of the shop's data; every call is a turn of it, stored as the bot stores them."""

    def __init__(self, shop: Shop, store: Store, shopper_id: str | None, data: ShopData, session: str) -> None:
        self.shopper = shop.shopper(shopper_id)
        self.toolbox = shop.toolbox(data)
        self.actions = Actions(self.toolbox, Journal(store), shop.now)
        self._store, self._session, self._clock = store, session, shop.now

    def read(self, name: str, arguments: Mapping[str, Any]) -> ToolCall:
        """Call a tool that reads."""
        return self._turn(f"{name}, please", lambda _: self.toolbox.call(name, arguments, self.shopper))

    def propose(self, name: str, arguments: Mapping[str, Any]) -> ToolCall:
        """Ask for a write; nothing is done yet."""
        return self._turn(
            f"{name}, please",
            lambda turn: self.actions.propose(name, arguments, self.shopper, self._session, turn),
        )

    def agree(self, key: str) -> ToolCall:
        """Say yes to a proposal."""
        return self._turn("Yes", lambda _: self.actions.run(key, self.shopper))

    def write(self, name: str, arguments: Mapping[str, Any]) -> ToolCall:
        """Ask for a write and, in the next turn, say yes."""
        call = self.propose(name, arguments)
        return self.agree(call.id) if call.status == "proposed" else call

    def _turn(self, message: str, act: Callable[[str], ToolCall]) -> ToolCall:
        turn = self._store.begin_turn(self._session, self.shopper.id, message, self._clock())
        try:
            call = act(turn.id)
        except BaseException:
            self._store.interrupt_turn(turn.id, self._clock())
            raise
        told = f"{call.name}: {call.status}"
        last = Finished(turn.id, told, (), (call,), False, call.status != "refused", {}, 0.0)
        profile = Profile(call.name, 1.0, 0.0, "en")
        self._store.finish_turn([Understood(profile, 0.0), ToolCalled(call, 0.0), last], now=self._clock())
        return call


@dataclass(frozen=True, slots=True)
class Played:
    """A task after it was played: the calls in order, and the data as they stand then."""

    task_id: str
    shopper_id: str | None
    calls: tuple[ToolCall, ...]
    writes: tuple[ToolCall, ...]
    data: ShopData


def play(shop: Shop, store: Store, task: Task, session: str = "") -> Played:
    """Play all actions of a task on a fresh copy of the data. Each write is preceded by the reads that it rests on."""
    data = shop.data.copy()
    talk = Talk(shop, store, find_shopper(task, data), data, session or f"task-{task['id']}")
    calls: list[ToolCall] = []
    writes: list[ToolCall] = []
    for name, arguments in actions_of(task):
        if talk.toolbox.writes(name):
            calls += [talk.read(*needed) for needed in needed_reads(arguments, talk.shopper.id, data)]
            writes.append(talk.write(name, arguments))
            calls.append(writes[-1])
        else:
            calls.append(talk.read(name, arguments))
    return Played(str(task["id"]), talk.shopper.id, tuple(calls), tuple(writes), data)


def actions_of(task: Task) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments of what a task lists."""
    listed = (task.get("evaluation_criteria") or {}).get("actions") or []
    return [(one["name"], one.get("arguments") or {}) for one in listed]


def needed_reads(
    arguments: Mapping[str, Any], shopper_id: str | None, data: ShopData
) -> Iterable[tuple[str, dict[str, Any]]]:
    """What an agent looks up before such a write: the order, the shopper's payment methods, the products wanted."""
    if "order_id" in arguments:
        yield "get_order_details", {"order_id": arguments["order_id"]}
    if "payment_method_id" in arguments and shopper_id is not None:
        yield "get_user_details", {"user_id": shopper_id}
    wanted = [data.variant(str(sku)) for sku in arguments.get("new_item_ids", ())]
    for product_id in dict.fromkeys(found[0].id for found in wanted if found is not None):
        yield "get_product_details", {"product_id": product_id}


# ---------------------------------------------------------------- whose task it is


def find_shopper(task: Task, data: ShopData) -> str | None:
    """The id of the shopper whom a task is about: by its look-ups, else by what its scenario says of them.

    Never by a write's arguments: a session belongs to whoever logged in, not to the owner of the order they name.
    """
    for name, arguments in actions_of(task):
        if name.startswith("find_user_id_by"):
            found = _one(user for user in data.users.values() if _fits(user, arguments))
            if found is not None:
                return found
    said = ((task.get("user_scenario") or {}).get("instructions")) or {}
    texts = [said] if isinstance(said, str) else [str(said.get("known_info") or ""), " ".join(map(str, said.values()))]
    return next((found for text in texts if (found := _named_in(text, data)) is not None), None)


def _fits(user: Record, given: Mapping[str, Any]) -> bool:
    if "email" in given:
        return user["email"].casefold() == str(given["email"]).casefold()
    name = (str(given.get("first_name")).casefold(), str(given.get("last_name")).casefold())
    return _name(user) == name and user["address"]["zip"] == str(given.get("zip"))


def _named_in(text: str, data: ShopData) -> str | None:
    """By user id, else by e-mail, else by name and zip code, else by a name that only one shopper has."""
    for user_id in USER_ID.findall(text):
        if user_id in data.users:
            return user_id
    emails = {email.rstrip(".").casefold() for email in EMAIL.findall(text)}
    by_email = _one(user for user in data.users.values() if user["email"].casefold() in emails)
    if by_email is not None:
        return by_email
    words, zips = set(re.findall(r"[^\W\d_]+", text.casefold())), set(ZIP.findall(text))
    named = [user for user in data.users.values() if words.issuperset(_name(user))]
    return _one(user for user in named if user["address"]["zip"] in zips) or _one(named)


def _name(user: Record) -> tuple[str, str]:
    return user["name"]["first_name"].casefold(), user["name"]["last_name"].casefold()


def _one(users: Iterable[Record]) -> str | None:
    """The only one, or None: of two who fit nobody can say who is meant."""
    found = [str(user["user_id"]) for user in users]
    return found[0] if len(found) == 1 else None


# ---------------------------------------------------------------- files


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file in the form of tasks_train.json. Raises UsageError where it has another form."""
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; check the name.") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}.") from None
    if not isinstance(tasks, list) or not all(isinstance(one, dict) and "id" in one for one in tasks):
        raise UsageError(f'{path}: a list of tasks, each with an "id", is wanted.')
    return tasks


def dump_state(played: Played, folder: Path) -> Path:
    """Write the end state as `folder/<task id>.json`: {"orders", "users", "products"}."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.#-]|^\.+", "_", played.task_id)  # a file in the folder given, and nothing else
    path = folder / f"{name}.json"
    path.write_text(json.dumps(played.data.dump(), ensure_ascii=False, indent=1), encoding="utf-8")
    return path
