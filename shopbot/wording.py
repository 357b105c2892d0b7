"""The last stage of a turn: a chat model words the draft, each sentence behind the checks, else the draft speaks.

A sentence is shown only where `grounding.unsupported` finds nothing against it and it words a sentence of the draft.
With the first that is unsupported the model is done for this turn, and the draft says the rest itself; so it does
where the model fails or takes too long. A model that failed several times is not asked for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from shopbot.breaker import Breaker
from shopbot.errors import ModelError
from shopbot.grounding import Gate, covers, unsupported
from shopbot.models import count_tokens
from shopbot.prompts import STOPS, render, to_langchain, trim
from shopbot.types import Draft, Event, Language, Passage, Said, Withheld

log = logging.getLogger(__name__)

SPARE_SENTENCES = 1
"""A model may use so many sentences more than the draft has."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A chat model that words drafts. `languages` are those its card lists; `window` is its context in tokens."""

    model: BaseChatModel
    name: str
    system: str
    shop: str
    languages: frozenset[str] = frozenset({"en"})
    window: int = 2048
    answer_tokens: int = 256
    """Room left for the answer: the `max_tokens` of our chat models, else a server refuses a prompt that just fits."""
    breaker: Breaker = field(default_factory=Breaker)

    def fits(self, draft: Draft, language: Language) -> bool:
        """Whether the model may word this draft: a real answer, no list, in a language that it writes."""
        lists = any(sentence.startswith("\n") for sentence in draft.sentences)
        return draft.answered and not draft.fixed and not lists and language in self.languages

    async def prompt(
        self, draft: Draft, question: str, language: Language, turns: Sequence[Mapping[str, Any]]
    ) -> list[BaseMessage]:
        """What asks the model to word the draft, cut to fit its window beside an answer.

        Raises ModelError where the model's server cannot count tokens.
        """
        passages = [Passage(str(n), cite.text, cite.source, cite.title) for n, cite in enumerate(draft.citations)]
        messages = render(
            system=self.system, turns=turns, passages=passages, draft=draft, question=question, language=language
        )
        # Counting may ask a server, which blocks.
        return to_langchain(await asyncio.to_thread(trim, messages, self.window - self.answer_tokens, self._count))

    async def word(
        self, draft: Draft, question: str, language: Language, turns: Sequence[Mapping[str, Any]]
    ) -> AsyncIterator[Event]:
        """`Said` for each sentence that is shown, `Withheld` for one that is not; together the whole answer.

        A sentence must word one of the draft's that is not worded yet, so that the answer never outgrows the draft.
        """
        sources = [*draft.sentences, *(cite.text for cite in draft.citations)]
        said: list[str] = []
        left = [sentence for piece in draft.sentences for sentence in split(piece)]
        try:
            async for sentence in self._sentences(draft, question, language, turns, len(left) + SPARE_SENTENCES):
                if (reason := unsupported(sentence, sources, self.shop)) is not None:
                    yield Withheld(sentence, reason)
                    break
                still_left = [one for one in left if not covers(sentence, one)]
                if len(still_left) == len(left):
                    yield Withheld(sentence, "it words nothing of the draft that is not said yet")
                    continue
                left = still_left
                said.append(sentence)
                yield Said(spaced(said))
        except Exception as error:
            # Whatever a shop's own chat model raises must not cost the shopper the answer: the draft stands already.
            if not isinstance(error, ModelError):
                log.exception("the chat model failed")
            yield Withheld("", str(error) or type(error).__name__)
        for sentence in left:
            said.append(sentence)
            yield Said(spaced(said))

    async def _sentences(
        self,
        draft: Draft,
        question: str,
        language: Language,
        turns: Sequence[Mapping[str, Any]],
        most: int,
    ) -> AsyncIterator[str]:
        """The first `most` sentences of the model, as they are complete. Raises ModelUnavailable where it takes too long."""
        gate, sentences = Gate(), 0
        with self.breaker.watching():
            deadline = self.breaker.deadline()
            prompt = await self.breaker.in_time(self.prompt(draft, question, language, turns), deadline)
            async with aclosing(self.model.astream(prompt, stop=STOPS)) as stream:  # pyright: ignore[reportArgumentType]
                while (chunk := await self.breaker.in_time(anext(stream, None), deadline)) is not None:
                    for sentence in gate.feed(str(chunk.content)):
                        yield sentence
                        sentences += 1
                        if sentences == most:
                            return
        for sentence in gate.finish()[: most - sentences]:
            yield sentence

    def _count(self, messages: list[dict[str, Any]]) -> int:
        return count_tokens(self.model, to_langchain(messages))


def split(text: str) -> list[str]:
    """The sentences of a whole text."""
    gate = Gate()
    return [*gate.feed(text), *gate.finish()]


def spaced(said: Sequence[str]) -> str:
    """The latest sentence as a piece that joins to those before it: "A." and "B." to "A. B."."""
    before, sentence = said[:-1], said[-1]
    if not before or sentence.startswith("\n") or before[-1].endswith(("。", "！", "？", "：", "\n")):
        return sentence
    return f"\n{sentence}" if before[-1].startswith("\n- ") else f" {sentence}"
