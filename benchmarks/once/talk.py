"""A conversation that ends in a cancelled order, in processes that die: what shopper and server do, and do again."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.once.death import Death, ended, fork
from shopbot.bot import ShopBot
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Decision, Finished, Shopper

ANN = Shopper("ann_abel_1")
ASK, YES = "Please cancel order FS-1002", "Yes, please cancel it."
MOST_TURNS = 6
"""So often does the shopper write before giving up."""


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation: which turn dies and where, whether the tool can be looked up, what comes after."""

    session: str
    death: Death
    asking: bool
    """The turn that proposes dies, and not the one that acts."""
    blind: bool
    """The tool has no lookup."""
    sweep: bool
    """A server starts before the shopper comes back."""
    sweep_death: Death

    @classmethod
    def drawn(cls, number: int, seed: int) -> Case:
        """The n-th case."""
        draw = random.Random(f"{seed} {number}")
        again = Death.drawn(draw.randrange(1000), draw) if draw.random() < 0.4 else Death("never")
        return cls(
            f"case-{number}",
            Death.drawn(number, draw),
            asking=draw.random() < 0.15,
            blind=draw.random() < 0.25,
            sweep=draw.random() < 0.5,
            sweep_death=again,
        )


@dataclass(frozen=True, slots=True)
class Till:
    """The shop, its database, and the file to which its shoppers write what they were told."""

    shop: Shop
    url: str
    told: Path

    def play(self, case: Case) -> int:
        """The whole case, in processes one after another; the exit status of the one that was to die."""
        killed = ended(fork(lambda: self._die(case)))
        if case.sweep:
            ended(fork(lambda: self._sweep(case, case.sweep_death)))
            if case.sweep_death.kind != "never":
                # The next server starts while the shopper is writing already.
                server = fork(lambda: self._sweep(case, Death("never")))
                shopper = ended(fork(lambda: self._come_back(case)))
                if ended(server) or shopper:
                    raise RuntimeError(f"{case}: a process that was not killed failed")
                return killed
        if ended(fork(lambda: self._come_back(case))):
            raise RuntimeError(f"{case}: a process that was not killed failed")
        return killed

    # ------------------------------------------------------------ in the children

    def _bot(self, case: Case, store: Store) -> ShopBot:
        bot = self.shop.bot(store=store)
        (tool,) = [tool for tool in bot.toolbox.tools if tool.writes]
        if case.blind:
            tool.lookup = None
        return bot

    def _arm(self, death: Death, bot: ShopBot) -> None:
        (tool,) = [tool for tool in bot.toolbox.tools if tool.writes]
        death.arm(tool)

    def _die(self, case: Case) -> None:
        """Ask, and say yes; die in one of the two turns."""
        with Store.open(self.url) as store:
            bot = self._bot(case, store)
            if case.asking:
                self._arm(case.death, bot)
            self._say(bot, case, ASK)
            if not case.asking:
                self._arm(case.death, bot)
            self._say(bot, case, YES)

    def _sweep(self, case: Case, death: Death) -> None:
        """A server's start."""
        with Store.open(self.url) as store:
            bot = self._bot(case, store)
            self._arm(death, bot)
            asyncio.run(bot.recover())

    def _come_back(self, case: Case) -> None:
        """The shopper writes until they are told that it is done, or that a person has it; at first the same yes once more."""
        if self._was_told(case):
            return
        with Store.open(self.url) as store:
            bot = self._bot(case, store)
            message = YES
            for _ in range(MOST_TURNS):
                answer = self._say(bot, case, message)
                if answer.handed_over or any(call.status == "done" for call in answer.tool_calls):
                    return
                message = YES if answer.waiting is not None else ASK

    def _was_told(self, case: Case) -> bool:
        lines = self.told.read_text(encoding="utf-8").splitlines() if self.told.exists() else []
        return any(one["session"] == case.session and one["done"] for one in map(json.loads, lines))

    def _say(self, bot: ShopBot, case: Case, message: str) -> Finished:
        answer = asyncio.run(bot.reply(message, shopper=ANN, session=case.session))
        done = any(call.status == "done" for call in answer.tool_calls)
        line = {"session": case.session, "done": done, "handed_over": answer.handed_over, "problem": answer.problem}
        with self.told.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return answer

    # ------------------------------------------------------------ at once

    def at_once(self, session: str, processes: int, times: int) -> list[int]:
        """Propose, then say the same yes so many times at once in so many processes; their exit statuses."""
        case = Case(session, Death("never"), False, False, False, Death("never"))
        ended(fork(lambda: self._propose(case)))
        shares = [times // processes + (place < times % processes) for place in range(processes)]
        return [
            ended(child) for child in [fork(lambda share=share: self._all_say_yes(case, share)) for share in shares]
        ]

    def _propose(self, case: Case) -> None:
        with Store.open(self.url) as store:
            self._say(self._bot(case, store), case, ASK)

    def _all_say_yes(self, case: Case, times: int) -> None:
        with Store.open(self.url) as store:
            bot = self._bot(case, store)
            (key,) = [action.key for action in bot.handing.journal.of_session(case.session)]
            answers = asyncio.run(_together(bot, case.session, key, times))
            if not all(any(call.status == "done" for call in one.tool_calls) for one in answers):
                raise RuntimeError([one.text for one in answers])


async def _together(bot: ShopBot, session: str, key: str, times: int) -> Sequence[Finished]:
    """By words and by button, in turns."""
    pressed: list[dict[str, Any]] = [{"decision": Decision(key, True)} for _ in range(times)]
    return await asyncio.gather(*(bot.reply(YES, shopper=ANN, session=session, **one) for one in pressed))
