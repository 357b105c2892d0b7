"""Rows of a table into records: what each column means is told by its usual names, what it holds is checked and typed.

A row is a product (it has a price, a sku, a brand or a category) or a piece of policy, such as a question with its answer; a
column `kind` says it outright. `documents.py` cuts the records into passages; `table_files.py` reads the files.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from knowledge.blocks import Block, Unreadable, demote_bare_headings, read_text, tidy
from knowledge.from_html import read_html
from knowledge.from_markdown import read_markdown
from knowledge.sentences import detect_language, word_count
from knowledge.table_files import ROWS, Row
from shopbot.types import PassageKind

COLUMNS: Mapping[str, str] = {
    "id": "id, product id, item id, sku, 编号, 商品编号",
    "title": "title, name, product name, product title, question, 标题, 名称, 商品名称, 问题",
    "text": "text, description, product description, content, body, body html, answer, 正文, 内容, 描述, 商品描述, 答案, 回答",
    "url": "url, link, product url, 网址",
    "category": "category, product category, categories, 类别, 分类",
    "brand": "brand, manufacturer, vendor, 品牌",
    "price": "price, unit price, variant price, 价格",
    "currency": "currency, price currency, 货币",
    "stock": "in stock, stock, quantity, availability, available, 库存",
    "language": "language, lang, locale, 语言",
    "valid_from": "valid from",
    "valid_until": "valid until, valid to",
    "kind": "kind",
}
"""The names of each meaning, the first of them first where a row has several; letters of any case, words parted by any mark."""

LABELS: Mapping[str, Mapping[str, str]] = {
    "en": {"category": "Category", "brand": "Brand"},
    "zh": {"category": "类别", "brand": "品牌"},
}
"""What the text of a product calls its category and brand, by language."""

SHORT = 300
"""Characters of a value that can stand in a line of its own under the text; a longer one is a paragraph."""

_ROLE_OF = {name: (role, rank) for role, names in COLUMNS.items() for rank, name in enumerate(names.split(", "))}
_SELLS = frozenset(("price", "brand", "category"))
_ASKED, _ANSWERED = frozenset(("question", "问题")), frozenset(("answer", "答案", "回答"))
_KINDS = {"product": "product", "products": "product", "policy": "policy", "policies": "policy"}
_NOTHING = frozenset(("", "n/a", "#n/a", "nan", "null"))
_NO_VALUE = _NOTHING | {"na", "none", "-", "–", "—"}
_IN_STOCK = frozenset("yes y true t in-stock instock available limited low-stock 有货 有 是".split())
_NOT_IN_STOCK = frozenset(
    "no n false f out-of-stock outofstock sold-out soldout unavailable discontinued back-order backorder pre-order preorder "
    "缺货 无货 无 否".split()
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_HTML = re.compile(r"</?(?:p|br|div|ul|ol|li|h[1-6]|table|span|strong|b|em|i|a)\b[^<>]*>", re.IGNORECASE)
_MARKDOWN = re.compile(r"^#{1,6} \S|\*\*\S|\]\(\S", re.MULTILINE)
_AMOUNT = re.compile(r"\d[\d.,' \u00a0\u202f]*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_MOST_WORDS = 220


@dataclass(frozen=True, slots=True)
class Record:
    """A row that can be used. `id` is its own, or ""; `line` as in `Row`; `metadata` are typed values for filters."""

    line: int
    id: str
    title: str
    kind: PassageKind
    language: str
    blocks: list[Block]
    valid_from: date | None = None
    valid_until: date | None = None
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict[str, "str | int | float | bool"])


def read_table(path: Path) -> Iterator[Record | Unreadable]:
    """Each row of a table as a record, or as what is wrong with it. Raises Unreadable or OSError where the file itself is."""
    for row in ROWS[path.suffix.lower()](path):
        try:
            yield row if isinstance(row, Unreadable) else _record(row, path)
        except Unreadable as error:
            yield Unreadable(str(error), row.line)


# ---------------------------------------------------------------- columns


@dataclass(frozen=True, slots=True)
class _Columns:
    """A row sorted by meaning: one value for each role that is filled, all texts, and what else stands in it."""

    roles: dict[str, Any]
    names: dict[str, str]
    texts: list[str]
    others: dict[str, Any]
    known: frozenset[str]
    """The columns that the row has, filled or not: roles, and the names behind them."""


@functools.lru_cache(maxsize=4096)
def _plain_name(column: str) -> str:
    """The same name, "product id", for "Product_ID", "productId" and "PRODUCT ID"."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return re.sub(r"[\W_]+", " ", apart).strip().casefold()


def _sorted_by_meaning(row: Row) -> _Columns:
    found: dict[str, tuple[int, str, Any]] = {}
    texts: list[str] = []
    others: dict[str, Any] = {}
    known: set[str] = set()
    for column, value in row.cells:
        name = _plain_name(str(column))
        role, rank = _ROLE_OF.get(name, ("", 0))
        known |= {name, role}
        value = _cleaned(value)
        if value is None:
            continue
        if role == "text" and (text := _as_text(value)):
            texts.append(text)
        elif role in ("", "text") or isinstance(value, dict):
            others[str(column)] = value
        elif role not in found:
            found[role] = (rank, str(column), value)
        else:
            first, second = sorted([found[role], (rank, str(column), value)], key=lambda each: each[0])
            found[role], others[second[1]] = first, second[2]
        if name == "sku":  # shoppers ask by it
            others[str(column)] = value
    roles = {role: value for role, (_, _, value) in found.items()}
    return _Columns(roles, {role: name for role, (_, name, _) in found.items()}, texts, others, frozenset(known))


def _cleaned(value: Any) -> Any:
    """None for what says nothing; a text without control characters and halves of characters."""
    if isinstance(value, str):
        value = (value if value.isascii() and value.isprintable() else _CONTROL.sub(" ", value)).strip()
        return None if value.casefold() in _NOTHING else value
    if isinstance(value, bytes | bytearray) or value in ({}, []):
        return None
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    return value


def _as_text(value: Any) -> str:
    """A text, or a list of them as paragraphs; "" for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n\n".join(filter(None, map(_cleaned, value)))
    return "" if isinstance(value, list | dict) else _shown(value)


# ---------------------------------------------------------------- a record


def _record(row: Row, path: Path) -> Record:
    columns = _sorted_by_meaning(row)
    kind = _kind(columns)
    first, until = _day(columns.roles, "valid_from"), _day(columns.roles, "valid_until")
    if first and until and first > until:
        raise Unreadable(f"valid_from {first} is after valid_until {until}; correct one")
    metadata = _metadata(columns, kind)
    own = tidy(_shown(columns.roles.get("id")))
    title = tidy(_shown(columns.roles.get("title")))
    text = "\n\n".join(dict.fromkeys(columns.texts))
    language = _language(columns, f"{title} {text}")
    facts = list(_facts(columns, kind, language))
    if not (text or facts or (title and kind == "product")) or (not text and columns.known & _ASKED):
        raise Unreadable("no text in this row; fill a column such as text, description or answer, or remove the row")
    named = title or (own if kind == "product" else "") or path.stem.replace("_", " ").replace("-", " ").strip()
    blocks = _blocks(text, named, facts, language)
    return Record(row.line, own, named, kind, language, blocks, first, until, metadata)


def _kind(columns: _Columns) -> PassageKind:
    said = _KINDS.get(str(columns.roles.get("kind", "")).casefold())
    if said is None and "kind" in columns.roles:  # a word of the shop's own
        columns.others[columns.names["kind"]] = columns.roles.pop("kind")
    if said is not None:
        return cast(PassageKind, said)
    # Questions and answers have categories, too.
    sells = columns.known & (({"price"} if columns.known & (_ASKED | _ANSWERED) else _SELLS) | {"sku", "product id"})
    return "product" if sells else "policy"


def _day(roles: Mapping[str, Any], role: str) -> date | None:
    """A row whose validity cannot be read is left out: it might be served too long."""
    value = roles.get(role)
    if value is None or (isinstance(value, str) and value.casefold() in _NO_VALUE):
        return None
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError as error:
        raise Unreadable(f"{role} is not a date: {value!r}; write it as 2026-11-30") from error


def _language(columns: _Columns, text: str) -> str:
    """The code that the row gives; else, as where a book says in what language it is written, the one that its text is in."""
    given = str(columns.roles.get("language", ""))
    code = given.lower().replace("_", "-").split("-")[0]
    if re.fullmatch("[a-z]{2,3}", code):
        return code
    if given:
        columns.others[columns.names["language"]] = given
    return detect_language(text)


def _metadata(columns: _Columns, kind: PassageKind) -> dict[str, str | int | float | bool]:
    """Typed values for filters. For what is no product, price and stock stand in the text as well: nothing else tells them."""
    roles = columns.roles
    found: dict[str, str | int | float | bool] = {}
    if kind == "product" and "id" in roles:
        found["product_id"] = tidy(_shown(roles["id"]))
    found |= {role: tidy(_shown(roles[role])) for role in ("category", "brand", "currency", "url") if role in roles}
    price, stock = _price(roles.get("price")), _in_stock(roles.get("stock"))
    if price:  # a price of 0 is one that the export does not know
        found["price"] = price
    if stock is not None:
        found["in_stock"] = stock
    for role in ("price", "currency", "stock"):
        if role in roles and (kind != "product" or (role == "stock" and stock is None)):
            columns.others[columns.names[role]] = roles[role]
    return found


def _price(value: Any) -> float | None:
    """An amount of money: "£12.50", "1,299.00", "1.299,00 €", 12.5. Raises Unreadable for anything else."""
    if value is None or (isinstance(value, str) and value.casefold() in _NO_VALUE):
        return None
    wrong = Unreadable(f"price is not an amount: {str(value)[:60]!r}; write it as 12.50")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < 0:
            raise wrong
        return round(float(value), 4)
    text = re.sub(r"[.,][-–—]+$", "", value) if isinstance(value, str) else ""  # "12.-"
    amounts = _AMOUNT.findall(text)
    mark = _AMOUNT.sub("", text).strip()
    if len(amounts) != 1 or not re.fullmatch(r"[^\W\d]{0,3}[.]?\s?\W?", mark) or "-" in mark:
        raise wrong
    digits = re.sub("[' \u00a0\u202f]", "", str(amounts[0])).rstrip(".,")
    if digits.rfind(",") > digits.rfind(".") and not _THOUSANDS.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    try:
        return round(float(digits.replace(",", "")), 4)
    except ValueError:
        raise wrong from None


def _in_stock(value: Any) -> bool | None:
    """None where it is not told, or in words that could mean either."""
    if isinstance(value, bool):
        return value
    try:
        return float(value) > 0
    except (TypeError, ValueError):
        word = re.sub(r"[\s_]+", "-", str(value).rsplit("/", 1)[-1].strip().casefold())
        return True if word in _IN_STOCK else False if word in _NOT_IN_STOCK else None


# ---------------------------------------------------------------- its text


def _facts(columns: _Columns, kind: PassageKind, language: str) -> Iterator[tuple[str, str]]:
    """What stands in the row beside its text, as names with their values."""
    labels = LABELS.get(language, LABELS["en"])
    for role in ("category", "brand"):
        if role in columns.roles and (kind == "product" or role == "brand"):
            yield labels[role], tidy(_shown(columns.roles[role]))
    for column, value in columns.others.items():
        for name, each in _flat(column, value):
            shown = tidy(_shown(each))
            is_text = isinstance(each, str) and " " in shown
            if shown and not shown.startswith(("http://", "https://")) and (is_text or len(shown) <= SHORT):
                yield tidy(name.replace("_", " ")), shown


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value; of an object its own values, of several objects, such as variants, the different ones of each name.

    What has a meaning of its own, such as the price of a variant, is none of the row's.
    """
    if isinstance(value, dict) and value and all(isinstance(each, dict) for each in value.values()):
        value = list(value.values())
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(inner, dict) and (inner := _cleaned(inner)) is not None:
                yield str(key), inner
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        values: dict[str, dict[str, None]] = {}
        for each in value:
            for key, inner in each.items():
                for own, one in _flat(str(key), _cleaned(inner)):
                    if _plain_name(own) not in _ROLE_OF:
                        values.setdefault(own, {})[_shown(one)] = None
        yield from ((key, ", ".join(filter(None, each))) for key, each in values.items())
    else:
        yield name, value


def _shown(value: Any) -> str:
    """A value as people write it; "" for one that they do not."""
    match value:
        case None | dict():
            shown = ""
        case bool():
            shown = "yes" if value else "no"
        case float():
            shown = str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(round(value, 4))
        case datetime():
            shown = value.isoformat(" ", "minutes").removesuffix(" 00:00")
        case list():
            shown = ", ".join(filter(None, (_shown(_cleaned(each)) for each in value if not isinstance(each, list))))
        case _:
            shown = str(value)
    return shown


def _blocks(text: str, title: str, facts: list[tuple[str, str]], language: str) -> list[Block]:
    """The text, long facts as paragraphs, and short ones as a list under the title, in the form of `product_passages`."""
    colon = "：" if language == "zh" else ":"
    lines = [(f"{name}{colon}" if language == "zh" else f"{name}: ") + value for name, value in facts]
    blocks = _of_text(text)
    listed = [Block("item", line) for line in lines if len(line) <= SHORT]
    blocks += [Block("paragraph", line) for line in lines if len(line) > SHORT]
    if listed and not title.endswith(("?", "？", ".", "。", "!", "！")):  # a title that can lead into a list
        listed.insert(0, Block("paragraph", f"{title.rstrip(':：')}{colon}"))
    if any(
        block.kind == "heading" for block in blocks
    ):  # below the last of them it would seem to be of that matter only
        return [*listed, *blocks]
    return [*blocks, *listed] or [Block("paragraph", title)]


def _of_text(text: str) -> list[Block]:
    """A cell as a document: HTML, Markdown or plain text. What fits into one passage has no headings."""
    if not text:
        return []
    if _HTML.search(text):
        blocks = demote_bare_headings(read_html(text).blocks)
    elif "\n" not in text and not _MARKDOWN.search(text):
        return [Block("paragraph", tidy(text))]
    else:  # an empty line before it: "---" is no front matter here
        blocks = demote_bare_headings((read_markdown if _MARKDOWN.search(text) else read_text)("\n" + text).blocks)
    if sum(word_count(block.text) for block in blocks) <= _MOST_WORDS:
        blocks = [Block("paragraph", block.text) if block.kind == "heading" else block for block in blocks]
    return blocks
