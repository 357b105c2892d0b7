"""Fake personal data in shoppers' messages: what a redactor of chat logs must find. None of it belongs to anybody."""

from __future__ import annotations

from random import Random

from generator.records import Record

PLANTS: tuple[tuple[str, str, str, str], ...] = (
    ("en", "name", "Margaret Ollerenshaw", "The parcel should have been for my neighbour {}, by the way."),
    ("en", "name", "Cormac Delahunt-Byrne", "I'm writing for {}, he doesn't like computers."),
    ("en", "card", "4242 4242 4242 4242", "My card is {} if you need it."),
    ("en", "card", "5555555555554444", "I paid with {} I think"),
    ("en", "card", "3782-822463-10005", "the amex is {} in case that helps"),
    ("en", "iban", "GB33 BUKB 2020 1555 5555 55", "If you ever owe me money, my account is {}."),
    ("en", "iban", "DE89370400440532013000", "my bank details: {}"),
    ("en", "email", "m.ollerenshaw@mailbox.example", "You can also write to {}."),
    ("en", "email", "tents4ever_91@post.example", "best reach me at {}"),
    ("en", "phone", "07700 900 842", "Please ring me on {} after five."),
    ("en", "phone", "+353 1 496 0991", "my number is {} if the driver has questions"),
    ("en", "address", "27 Foxglove Terrace, Hexham NE46 4ZZ", "From next month I live at {}."),
    ("en", "address", "Flat 9, 310 Cutler's Wharf, Leeds LS10 9ZY", "my office is {}"),
    ("en", "birth_date", "14 March 1987", "I was born on {}, if you need to check who I am."),
    ("zh", "name", "欧阳若溪", "对了，收件人是{}。"),
    ("zh", "card", "4012888888881881", "我的卡号是{}，需要的话可以核对。"),
    ("zh", "phone", "139-0000-4821", "有事可以打我电话{}。"),
    ("zh", "id_number", "11010519491231002X", "我的身份证号是{}，可以验证身份。"),
    ("zh", "address", "成都市锦江区望月巷88号3栋502室", "我国内的地址是{}。"),
    ("zh", "birth_date", "1990年5月6日", "我的生日是{}，方便核实。"),
)
"""Language, kind, the exact text, and the sentence that carries it. Cards are of test ranges and pass Luhn."""


def plant(chats: list[Record], rng: Random) -> list[dict[str, str]]:
    """Put each piece into one shopper's message of a chat of its own; returns chat_id, kind and text of each."""
    free = list(chats)
    rng.shuffle(free)
    found: list[dict[str, str]] = []
    for language, kind, text, sentence in PLANTS:
        chat = next(one for one in free if one["language"] == language and _place(one) is not None)
        free.remove(chat)
        message = _place(chat)
        assert message is not None
        joint = "" if language == "zh" else " "
        message["content"] += joint + sentence.format(text)
        found.append({"chat_id": chat["chat_id"], "kind": kind, "text": text})
    return found


def _place(chat: Record) -> Record | None:
    """A message to add a sentence to: a shopper's that ends a sentence and is no yes before a tool call."""
    messages = chat["messages"]
    for at, message in enumerate(messages):
        ends = message["content"].endswith((".", "!", "?", "。", "？", "！"))
        if (
            message["role"] == "user"
            and ends
            and "\n" not in message["content"]
            and "tool_calls" not in messages[min(at + 1, len(messages) - 1)]
        ):
            return message
    return None
