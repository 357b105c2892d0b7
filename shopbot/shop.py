"""`Shop.open(folder)`: the one place where the parts are wired, and the owner of the clock, time zone and currency.

    with Shop.open("sample_shop") as shop:
        bot = shop.bot()
        answer = await bot.reply("How long do refunds take?", shopper=Shopper())

What a shop is stands in its `shop.toml`. Its folder is only read; what is derived lies in `home` (`~/.cache/shopbot`).
"""

from __future__ import annotations

import difflib
import hashlib
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from functools import cached_property
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from zoneinfo import ZoneInfo

from shopbot.acting import Acting
from shopbot.answer_bank import AnswerBank, Approved, read_entries, wordings
from shopbot.bot import ShopBot, Splice
from shopbot.breaker import Breaker
from shopbot.catalog import Catalog
from shopbot.config import ShopConfig, read_config
from shopbot.errors import IndexRefused, StoreError, UsageError
from shopbot.handing import Handing
from shopbot.live_mind import LiveMind
from shopbot.mind import Mind
from shopbot.model_planner import ModelPlanner
from shopbot.own_tools import load_tools
from shopbot.phrases import LANGUAGES, Phrases
from shopbot.planner import HeadPlanner, Planner
from shopbot.prompts import system_prompt
from shopbot.reads import READ_TOOLS
from shopbot.records import ShopData
from shopbot.tools import Resolver, ShopTool, Today, Toolbox
from shopbot.types import Passage, Shopper
from shopbot.understand import Example, NearestIntents, built_in_examples

if TYPE_CHECKING:
    import numpy as np
    from langchain_core.language_models import BaseChatModel
    from numpy.typing import NDArray

    from knowledge import KnowledgeIndex, SentenceEmbedder
    from shopbot.handover import OnHandOver
    from shopbot.store import Store

Progress = Callable[[str, int, int], None]
"""Called while the index is made: what is being done, how many are done, how many there are."""
DEFAULT_HOME = Path("~/.cache/shopbot")


class Shop:
    """A shop, opened. Heavy parts (models, index) are loaded when they are first needed, and shared by its bots."""

    def __init__(self, folder: Path, config: ShopConfig, data: ShopData, home: Path) -> None:
        self.folder = folder
        self.config = config
        self.data = data
        self.home = home
        self.progress: Progress | None = None
        self.problems: list[str] = list(data.problems)
        self._lock = RLock()
        self._opened = ""
        """The index version that the parts are made of; empty before they are."""

    @classmethod
    def open(cls, folder: str | Path, *, home: str | Path | None = None) -> Self:
        """Read a shop folder. Rows that cannot be read are left out and told of in `problems`.

        Raises ShopError (file, line, what to do) where shop.toml or a part as a whole cannot be read.
        """
        root = Path(folder).expanduser().resolve()
        config = read_config(root)
        parts = config.parts
        data = ShopData.load(parts.catalog, parts.orders, parts.shoppers, root, parts.columns)
        place = Path(home if home is not None else DEFAULT_HOME).expanduser()
        slug = f"{root.name}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"
        return cls(root, config, data, place / "shops" / slug)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened: the index and the store."""
        for part in ("index", "store"):
            if part in self.__dict__:
                self.__dict__.pop(part).close()

    # ---------------------------------------------------------------- time

    def now(self) -> datetime:
        """The shop's time: the day that shop.toml fixes (noon, unless it gives a time), or the clock in its zone."""
        zone = ZoneInfo(self.config.shop.timezone)
        fixed = self.config.shop.today
        if fixed == "relative":
            return datetime.now(zone)
        moment = fixed if isinstance(fixed, datetime) else datetime.combine(fixed, time(12))
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)

    def shopper(self, shopper_id: str | None) -> Shopper:
        """The shopper with this id, as a login of the shop would say; None is a visitor."""
        account = self.data.account(shopper_id) if shopper_id is not None else None
        return Shopper(shopper_id, account.name, account.email) if account is not None else Shopper(shopper_id)

    def known_shopper(self, shopper_id: str | None) -> Shopper:
        """As `shopper`, for an id that a person typed. Raises UsageError where the shop has shoppers, but not this one."""
        users = self.data.users
        if shopper_id is None or not users or shopper_id in users or self.data.orders_of(shopper_id):
            return self.shopper(shopper_id)
        near = difflib.get_close_matches(shopper_id, users, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"they are in {self.config.parts.shoppers}."
        raise UsageError(f"the shop has no shopper {shopper_id!r}; {hint}")

    # ---------------------------------------------------------------- parts, each made when first needed

    @cached_property
    def embedder(self) -> SentenceEmbedder:
        """The sentence embedder that shop.toml names."""
        from knowledge import SentenceEmbedder

        name = self.config.models.embedder
        local = self.folder / name
        return SentenceEmbedder(str(local) if local.is_dir() else name)

    @cached_property
    def catalog(self) -> Catalog:
        """The products and the queries over them; words that it does not hold are matched through the embedder."""
        embedder = self.embedder
        catalog = Catalog(
            self.data.all_products(),
            similar=lambda words: embedder.embed_array(words, query=True),
            known=embedder.words,
            languages=tuple(language for language in LANGUAGES if embedder.reads(language)),
            synonyms=self.config.synonyms,
        )
        self.problems.extend(
            f"shop.toml: [synonyms] {word} = {self.config.synonyms[word]!r}: no category and no product is called so; "
            "write words that the catalog holds"
            for word in (catalog.unmatched_synonyms if self.config.synonyms else ())
        )
        return catalog

    @cached_property
    def index(self) -> KnowledgeIndex:
        """The knowledge index, brought up to date with the shop's documents.

        Where that fails (a full disk, another process at it) or a rollback holds them back, what served before serves on, told of in `problems`.
        """
        from knowledge import KnowledgeIndex

        try:
            return self.ingest(on_purpose=False)
        except StoreError as error:
            try:
                index = KnowledgeIndex.open(self.home / "index", self.embedder)
            except IndexRefused:
                raise error from None
            self.problems.append(str(error))
            return index

    def ingest(self, *, on_purpose: bool = True) -> KnowledgeIndex:
        """Bring the knowledge index up to date and open it; a second time changes nothing.

        Raises StoreError where it cannot be written or, unless done `on_purpose`, a rollback holds; then what served before still serves.
        """
        from knowledge import KnowledgeIndex, versions
        from knowledge.index import content_hash

        folder, passages = self.home / "index", self.passages()
        versions.check_hold(folder, content_hash(passages), lift=on_purpose)
        return KnowledgeIndex.build(folder, passages, self.embedder, self.progress, server=self.config.index.chroma)

    @cached_property
    def store(self) -> Store:
        """The database of sessions and turns."""
        from shopbot.store import Store

        return Store.open(self.home / "shopbot.db")

    @cached_property
    def intents(self) -> NearestIntents:
        """Nearest labelled examples: ours, and the shop's own utterances."""
        examples = self._examples
        return NearestIntents(examples, self._question_vectors[: len(examples)])

    @cached_property
    def answer_bank(self) -> AnswerBank:
        """The shop's approved answers; those that have lapsed are told of in `problems`."""
        return AnswerBank(self._approved, self._question_vectors[len(self._examples) :])

    @cached_property
    def _examples(self) -> list[Example]:
        return [*built_in_examples(), *self._utterances()]

    @cached_property
    def _approved(self) -> list[Approved]:
        from shopbot.rows import read_rows

        if not self.config.parts.answers:
            return []
        rows = read_rows(self.config.parts.answers, self.folder, self.problems)
        return read_entries(rows, self._documents, self.problems)

    @cached_property
    def _question_vectors(self) -> NDArray[np.float32]:
        """Vectors of all examples, then of all ways to ask for an approved answer: kept in one file."""
        from knowledge import stored_vectors

        texts = [*(example.text for example in self._examples), *wordings(self._approved)]
        tell = self.progress
        progress = None if tell is None else lambda done, total: tell("examples", done, total)
        return stored_vectors(self.home, texts, self.embedder, progress)

    @cached_property
    def _documents(self) -> dict[str, list[Passage]]:
        """The passages of the index by their source."""
        documents: dict[str, list[Passage]] = {}
        for passage in self.index.passages.values():
            documents.setdefault(passage.source, []).append(passage)
        return documents

    def passages(self) -> list[Passage]:
        """Everything that is written down: policies and products. Unreadable documents are told of in `problems`."""
        from knowledge import product_passages, read_documents

        passages: list[Passage] = []
        for path in [(self.folder / name).resolve() for name in self.config.parts.policies]:
            read = read_documents([path], self.folder if path.is_relative_to(self.folder) else path.parent)
            passages.extend(read.passages)
            self.problems.extend(problem for problem in read.problems if problem not in self.problems)
        return [*passages, *product_passages(self.data.all_products())]

    # ---------------------------------------------------------------- the bot

    def bot(
        self,
        *,
        planner: Literal["head", "model"] = "head",
        wording: Literal["draft", "model"] = "draft",
        model: BaseChatModel | str | None = None,
        store: Store | None = None,
        data: ShopData | None = None,
        now: datetime | None = None,
        splices: Sequence[Splice] = (),
        on_hand_over: OnHandOver | None = None,
    ) -> ShopBot:
        """A support agent for this shop.

        Args:
            planner: "head" needs no language model; "model" lets a tool-calling `model` choose the tools.
            wording: "draft" answers with the composed draft; "model" lets `model` word it, behind the checks.
                The default is what gives more right answers on the shop's own questions with the default model.
            model: a chat model, or "local", "vllm:URL" or a model's name; needed where either is "model".
            store: where turns are kept; by default the shop's own database.
            data: what the tools work on; by default the shop's data as they were read.
            now: a fixed time instead of the shop's.
            splices: hostile content for tests.
            on_hand_over: called once with each new hand-over to a person; `shopbot desk` shows them, too.
        """
        about = self.config.shop
        data = data if data is not None else self.data
        clock = self.now if now is None else lambda: now
        store = store if store is not None else self.store
        toolbox = self.toolbox(data, clock)
        acting, handing = _hands(toolbox, store, clock, on_hand_over)
        chat = self._chat(model) if "model" in (planner, wording) else None
        system = self._system(splices)
        plans: Planner = HeadPlanner(self.catalog, data, lambda: clock().date(), toolbox.tools)
        breaker = Breaker()  # one model, whatever it is used for
        if planner == "model" and chat is not None:
            plans = ModelPlanner(chat, toolbox.tools, system, plans, breaker)
        return ShopBot(
            voices={language: Phrases(language, about.name, about.currency) for language in LANGUAGES},
            contact=about.contact_line,
            mind=LiveMind(lambda: self._mind(lambda: clock().date(), splices), self._serving),
            planner=plans,
            toolbox=toolbox,
            acting=acting,
            handing=handing,
            store=store,
            clock=clock,
            wording=self._wording(chat, system, breaker) if wording == "model" and chat is not None else None,
            splices=splices,
        )

    def toolbox(self, data: ShopData, clock: Callable[[], datetime] | None = None) -> Toolbox:
        """The read tools that every shop has and the shop's own, over `data`; `clock` stands in for the shop's."""
        values = {ShopData: data, Catalog: self.catalog, Today: Today(clock or self.now)}
        return Toolbox([*READ_TOOLS, *self._own_tools()], _resolvers(data), values)

    def _serving(self) -> str:
        """The index version that serves by now, and when it was written: another process may have ingested."""
        from knowledge.versions import current

        return _written(current(self.home / "index"))

    def _reopen(self) -> None:
        """Open the index version that serves by now, and drop what was made of the one before."""
        from knowledge import KnowledgeIndex

        if self._opened and self._opened != self._serving():
            self.index = KnowledgeIndex.open(self.home / "index", self.embedder)
            for part in ("_documents", "_approved", "_question_vectors", "answer_bank", "intents"):
                self.__dict__.pop(part, None)
        self._opened = _written(self.index.version)

    def _mind(self, today: Callable[[], date], splices: Sequence[Splice]) -> Mind:
        from knowledge import ShopRetriever, read
        from knowledge.reader import Widened

        with self._lock:  # another bot of this shop may be moving on at the same time: all parts are of one version
            self._reopen()
            index, intents, documents, bank = self.index, self.intents, self._documents, self.answer_bank
        spliced = [
            Passage(f"splice{number}", one.content, "spliced", "Spliced > passage")
            for number, one in enumerate(splices)
            if one.where == "passage"
        ]
        shelf = Widened(index, spliced, self.embedder) if spliced else index
        return Mind(
            encoder=self.embedder,
            intents=intents,
            catalog=self.catalog,
            retriever=ShopRetriever(index, self.embedder),
            read=lambda question, vector, passages, hint: read(question, vector, passages, shelf, hint=hint),
            documents=documents,
            bank=bank,
            today=today,
            spliced=spliced,
            synonyms=self.config.synonyms,
        )

    def _chat(self, model: BaseChatModel | str | None) -> BaseChatModel:
        if model is None or isinstance(model, str):
            from shopbot.models import open_chat

            name = model if model is not None else self.config.models.dialogue
            return open_chat(name, root=self.home.parent.parent / "models")
        return model

    def _wording(self, chat: BaseChatModel, system: str, breaker: Breaker) -> Any:
        from shopbot.models import context_window
        from shopbot.wording import Wording

        name = str(getattr(chat, "model_name", None) or getattr(chat, "name", None) or type(chat).__name__)
        return Wording(
            model=chat,
            name=name,
            system=system,
            shop=self.config.shop.name,
            languages=frozenset(self.config.models.dialogue_languages),
            window=context_window(chat),
            breaker=breaker,
        )

    def _system(self, splices: Sequence[Splice]) -> str:
        system = system_prompt(self.config.shop.name, contact=self.config.shop.contact_line)
        return "\n".join([system, *(one.content for one in splices if one.where == "system_prompt")])

    def _own_tools(self) -> list[ShopTool]:
        """The `ShopTool`s of the shop's tools.py."""
        if not self.config.parts.tools:
            return []
        path = self.folder / self.config.parts.tools
        name = f"shop_tools_{self.home.name.replace('-', '_')}"
        if name not in sys.modules:
            load_tools(path, name)
        return [value for value in vars(sys.modules[name]).values() if isinstance(value, ShopTool)]

    def _utterances(self) -> list[Example]:
        from shopbot.rows import read_rows

        if not self.config.parts.utterances:
            return []
        examples: list[Example] = []
        for row in read_rows(self.config.parts.utterances, self.folder, self.problems):
            text, intent = row.data.get("text"), row.data.get("intent")
            if isinstance(text, str) and isinstance(intent, str):
                examples.append(Example(text, intent))
            else:
                self.problems.append(f"{row.where}: an utterance needs a text and an intent; row left out")
        return examples


def _written(version: Path | None) -> str:
    """An index version and when its manifest was written, which says what was learned for it."""
    return "" if version is None else f"{version.name} {(version / 'manifest.json').stat().st_mtime_ns}"


def _hands(
    toolbox: Toolbox, store: Store, clock: Callable[[], datetime], hook: OnHandOver | None
) -> tuple[Acting, Handing]:
    """What acts, and what gives conversations to people: both over the store's database."""
    from shopbot.actions import Actions
    from shopbot.handover import HandOvers
    from shopbot.journal import Journal

    journal = Journal(store)
    return Acting(Actions(toolbox, journal, clock)), Handing(store, journal, HandOvers(store), clock, hook)


def _resolvers(data: ShopData) -> dict[str, Resolver]:
    """For each type of id: in the shop's spelling if this shopper may name it, else None."""

    def order(order_id: str, shopper: Shopper) -> str | None:
        found = data.order(order_id)
        return found.id if found is not None and shopper.id is not None and found.shopper_id == shopper.id else None

    def item(sku: str, shopper: Shopper) -> str | None:
        mine = (item.sku for order in data.orders_of(shopper.id or "") for item in order.items)
        return next((one for one in mine if one.casefold() == sku.casefold()), None)

    def payment(method_id: str, shopper: Shopper) -> str | None:
        account = data.account(shopper.id or "")
        methods = account.payment_methods if account is not None else ()
        return next((str(one["id"]) for one in methods if one.get("id") == method_id), None)

    def user(user_id: str, shopper: Shopper) -> str | None:
        return shopper.id if user_id == shopper.id else None

    def product(product_id: str, shopper: Shopper) -> str | None:
        return product_id if data.product(product_id) is not None else None

    def variant(sku: str, shopper: Shopper) -> str | None:
        found = data.variant(sku)
        return found[1].sku if found is not None else None

    return {"order": order, "item": item, "payment": payment, "user": user, "product": product, "variant": variant}
