"""A situation and a case become a chat: lines said, tools called, greetings and goodbyes around them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from generator.records import Record

from chat_writer import desk
from chat_writer.casting import Case, World
from chat_writer.scene import facts_of
from chat_writer.script import Line, Situation
from chat_writer.voice import Voice

UK_TIME = ZoneInfo("Europe/London")
Message = dict[str, Any]


@dataclass
class Chat:
    """A chat being written: its messages, and whether a person took over."""

    voice: Voice
    messages: list[Message] = field(default_factory=list)
    handed_over: bool = False
    calls: int = 0

    def shopper(self, text: str) -> None:
        """The shopper writes, in one message or two."""
        self.messages += [{"role": "user", "content": part} for part in self.voice.in_parts(self.voice.typed(text))]

    def agent(self, text: str) -> None:
        """The agent writes."""
        self.messages.append({"role": "assistant", "content": text[:1].upper() + text[1:]})

    def tool(self, called: desk.Call, words: str) -> None:
        """The agent calls a tool, saying a word first or nothing, and reads the result."""
        name, arguments, result = called
        self.calls += 1
        number = f"call_{self.calls}"
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        call = {"id": number, "type": "function", "function": function}
        self.messages.append({"role": "assistant", "content": words, "tool_calls": [call]})
        content = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        self.messages.append({"role": "tool", "tool_call_id": number, "content": content})
        self.handed_over |= name == "talk_to_person"


def perform(situation: Situation, language: str, turn: int, case: Case, world: World, rng: Random) -> Record:
    """One chat log of a situation. `turn` counts the chats of this situation and language: each opens differently."""
    facts = facts_of(case, world, language)
    voice = Voice.of(language, facts, case.shopper["name"]["last_name"], rng)
    chat = Chat(voice)
    lines = _chosen(situation.plays[language], rng)
    _open(chat, _words(lines[0], turn, voice, first=True))
    for line in lines[1:]:
        _step(chat, line, turn, case, world)
    _close(chat, situation.mood, situation.outcome)
    return _log(situation, language, case, chat)


def _chosen(lines: list[Line], rng: Random) -> list[Line]:
    """The lines that are played: neighbours marked optional stay or go together."""
    chosen: list[Line] = []
    stays = True
    for at, line in enumerate(lines):
        if line.optional and (at == 0 or not lines[at - 1].optional):
            stays = rng.random() < 0.55
        if stays or not line.optional:
            chosen.append(line)
    return chosen


def _words(line: Line, turn: int, voice: Voice, *, first: bool = False) -> str:
    """An alternative of a line: each chat of a situation takes the next one, and where they run out, any.

    The shopper's first line and the lines that belong together go through their alternatives in step.
    """
    number = len(line.alternatives)
    in_step = first or line.aligned or turn < number
    return voice.say(line.alternatives[turn % number if in_step else voice.rng.randrange(number)])


def _open(chat: Chat, question: str) -> None:
    voice = chat.voice
    way = voice.rng.random()
    if way < 0.18:
        chat.agent(voice.pick("hello_agent"))
    elif way < 0.36:
        chat.shopper(voice.pick("hello_user"))
        chat.agent(voice.pick("hello_agent"))
    else:
        question = voice.greeted(question)
        if voice.chance(0.12):
            question += voice.pick("user_signature")
    chat.shopper(question)


def _step(chat: Chat, line: Line, turn: int, case: Case, world: World) -> None:
    voice = chat.voice
    if line.kind in "TW":
        looks_up = line.kind == "T" and not line.alternatives[0].startswith("talk_to_person")
        words = voice.pick("moment") if looks_up and voice.chance(0.35) else ""
        chat.tool(desk.call(line.alternatives[0], case, world, voice.facts, voice.language), words)
        return
    text = _words(line, turn, voice)
    if line.kind == "Y" and text == "yes":
        text = voice.pick("yes")
    if line.kind == "A":
        chat.agent(text)
    else:
        chat.shopper(text)


def _close(chat: Chat, mood: str, outcome: str) -> None:
    """Thanks or grumbling, a goodbye, a signature: each at times."""
    voice = chat.voice
    if chat.messages[-1]["role"] == "tool":
        chat.agent(voice.pick("handed"))
    shares = {"good": 0.75, "ok": 0.55, "bad": 0.45}
    if outcome != "abandoned":
        if chat.messages[-1]["role"] != "user" and voice.chance(shares[mood]):
            chat.shopper(voice.pick(f"thanks_{mood}"))
        if chat.messages[-1]["role"] == "user":
            chat.agent(voice.pick(f"bye_{mood}"))
        elif not chat.handed_over and voice.chance(0.3):
            chat.agent(voice.pick("anything_else"))
    last = chat.messages[-1]
    if last["role"] == "assistant" and "tool_calls" not in last and voice.chance(0.25):
        last["content"] += voice.pick("signature")


def _log(situation: Situation, language: str, case: Case, chat: Chat) -> Record:
    rng = chat.voice.rng
    found: Record = {
        "user_id": case.shopper["user_id"],
        "language": language,
        "situation": situation.name,
        "started_at": _moment(case, rng).isoformat(),
        "messages": chat.messages,
    }
    rating = _rating(situation.mood, rng)
    if rating is not None:
        found["rating"] = rating
    if rng.random() < {"good": 0.04, "ok": 0.1, "bad": 0.25}[situation.mood]:
        found["reopened"] = True
    found["outcome"] = "handed_over" if chat.handed_over else situation.outcome
    return found


def _moment(case: Case, rng: Random) -> datetime:
    """A time of the day at which the shop's people are there."""
    opens, closes = (time(10), time(16)) if case.day.isoweekday() == 6 else (time(9), time(18))
    start = datetime.combine(case.day, opens, UK_TIME)
    seconds = (closes.hour - opens.hour) * 3600 - 1200
    return start + timedelta(seconds=rng.randrange(seconds))


def _rating(mood: str, rng: Random) -> int | None:
    """The stars that the shopper gave, if any: unhappy shoppers rate more often."""
    if rng.random() > {"good": 0.55, "ok": 0.55, "bad": 0.7}[mood]:
        return None
    stars = {"good": (5, 5, 5, 4, 4, 3), "ok": (5, 4, 4, 3, 3, 2), "bad": (3, 2, 2, 1, 1, 1)}
    return rng.choice(stars[mood])
