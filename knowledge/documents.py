"""Documents into passages: Markdown, HTML, PDF and plain text, cut at their headings; rows of tables; the shop's products.

A passage carries its document, its path of headings ("Returns > Sale items"), its language and the days on which it
holds. Its id is a hash of document, title and text, so unchanged text keeps its id over any number of ingests.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from knowledge.blocks import Block, Parsed, Unreadable, read_text
from knowledge.from_html import read_html
from knowledge.from_markdown import read_markdown
from knowledge.from_pdf import read_pdf
from knowledge.from_table import LABELS, Record, read_table
from knowledge.sentences import detect_language, sentences, word_count
from knowledge.table_files import ROWS
from shopbot.types import Passage, PassageKind, Product

__all__ = ["ReadResult", "passage_id", "product_passages", "read_documents", "sentences"]

TARGET_WORDS = 150
MOST_WORDS = 220
"""A section longer than this is cut, near TARGET_WORDS: what a small embedder reads in one piece (256 tokens)."""

MOST_CHARACTERS = 1_000_000
"""Of a text file, not of a table. A longer one is no policy, and its sentences would take minutes to encode."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The passages that could be read, and a line for each document or value that could not: "file:line: what; what to do"."""

    passages: list[Passage] = field(default_factory=list[Passage])
    problems: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class _About:
    """What a document or a row says of itself, checked."""

    title: str
    language: str
    valid_from: date | None
    valid_until: date | None
    kind: PassageKind = "policy"
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict[str, "str | int | float | bool"])


def _of_text(read: Callable[[str], Parsed]) -> Callable[[Path], Parsed]:
    def read_file(path: Path) -> Parsed:
        try:
            text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            raise Unreadable("not UTF-8 text; save the file as UTF-8", line) from error
        if "\0" in text:
            raise Unreadable("not text but binary; give it its right name, or remove the file")
        if len(text) > MOST_CHARACTERS:
            raise Unreadable(f"too long: {len(text):,} characters, more than {MOST_CHARACTERS:,}; cut it into several")
        return read(text)

    return read_file


READERS: dict[str, Callable[[Path], Parsed]] = {
    ".md": _of_text(read_markdown),
    ".markdown": _of_text(read_markdown),
    ".html": _of_text(read_html),
    ".htm": _of_text(read_html),
    ".txt": _of_text(read_text),
    ".pdf": read_pdf,
}
"""How a document is read, by the end of its name; `table_files.ROWS` is the same for tables."""

_ENDINGS = (*sorted(READERS), *sorted(ROWS))


def read_documents(paths: Sequence[Path], root: Path) -> ReadResult:
    """Read files, and the documents and tables in folders and below, in the order of their names.

    `root` is what `source` is relative to. A document or row that cannot be used becomes a problem line, and so does a file given
    by name whose kind is unknown; the rest goes in. Nothing is raised for what stands in a document.
    """
    result = ReadResult()
    ids: dict[tuple[str, str], str] = {}
    for path in paths:
        if path.is_dir() and not any(True for _ in _files([path])):
            what = f"no document in this folder; put {', '.join(_ENDINGS)} there, or correct the name"
            result.problems.append(f"{_relative(path, root)}: {what}")
    for path in _files(paths):
        source = _relative(path, root)
        try:
            if path.suffix.lower() in ROWS:
                _read_table(path, source, result, ids)
            else:
                result.passages.extend(_read_one(path, source))
        except Unreadable as error:
            result.problems.append(f"{source}:{error.line}: {error}")
        except OSError as error:
            result.problems.append(f"{source}:1: cannot be read ({error.strerror}); check the path and its permissions")
    return result


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Every file to read: those that were named, whatever their kind, and in folders those of a known one."""
    for path in paths:
        if path.is_dir():
            inside = (each for each in sorted(path.rglob("*")) if each.is_file() and each.suffix.lower() in _ENDINGS)
            yield from (each for each in inside if not _is_hidden(each.relative_to(path)))
        else:
            yield path


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _relative(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:  # a document from elsewhere
        return path.as_posix()


def _read_one(path: Path, source: str) -> list[Passage]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(f"{path.suffix or 'a file without ending'} is not read here; give {', '.join(_ENDINGS)}")
    parsed = reader(path)
    text = " ".join(block.text for block in parsed.blocks)
    if not text.strip():
        raise Unreadable("there is no text in it; write some or remove the file")
    passages = list(_cut(parsed.blocks, _check_about(parsed, path, text), source))
    if not passages:
        raise Unreadable("there are only headings in it; write under them what they announce")
    return passages


def _read_table(path: Path, source: str, result: ReadResult, ids: dict[tuple[str, str], str]) -> None:
    """The rows of a table, or a problem line for each that is left out. `ids` is where each source and language was first."""
    before = len(result.passages) + len(result.problems)
    for record in read_table(path):
        where = f"{source}:{record.line}"
        if isinstance(record, Unreadable):
            result.problems.append(f"{where}: {record}")
            continue
        own = _source_of(record, source)
        first = ids.setdefault((own, record.language), where)
        if first != where:
            what = f"the id {record.id!r} stands in {first} already; give this row another, or remove it"
            result.problems.append(f"{where}: {what}")
            continue
        about = _About(
            record.title, record.language, record.valid_from, record.valid_until, record.kind, record.metadata
        )
        result.passages.extend(_cut(record.blocks, about, own))
    if len(result.passages) + len(result.problems) == before:
        raise Unreadable("there is no row in it; write some under the names of the columns, or remove the file")


def _source_of(record: Record, source: str) -> str:
    """A product has the source that it has in the shop's catalog; another row is a part of its file."""
    if not record.id:
        return f"{source}:{record.line}"
    return f"product:{record.id}" if record.kind == "product" else f"{source}#{record.id}"


# ---------------------------------------------------------------- what a document says of itself


def _check_about(parsed: Parsed, path: Path, text: str) -> _About:
    given = parsed.about
    first, until = _day(given, "valid_from", path), _day(given, "valid_until", path)
    if first and until and first > until:
        raise Unreadable(f"valid_from {first} is after valid_until {until}; correct one", _line_of("valid_from", path))
    named = str(given.get("language") or detect_language(text))
    language = named.lower().replace("_", "-").split("-")[0]
    if not re.fullmatch("[a-z]{2,3}", language):
        line = _line_of("language", path)
        raise Unreadable(f"language {named!r} is no code such as en or zh; correct it", line)
    headings = [block.text for block in parsed.blocks if block.kind == "heading" and block.text.strip()]
    named_so = str(given.get("title") or "").strip()
    title = named_so or (headings[0] if headings else path.stem.replace("_", " ").replace("-", " "))
    return _About(title.strip(), language, first, until)


def _day(given: Any, key: str, path: Path) -> date | None:
    """A date of the front matter. A document whose validity cannot be read is left out: it might be served too long."""
    value = given.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError as error:
        raise Unreadable(f"{key} is not a date: {value!r}; write it as 2026-11-30", _line_of(key, path)) from error


def _line_of(key: str, path: Path) -> int:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((number for number, line in enumerate(lines, 1) if key in line), 1)


# ---------------------------------------------------------------- cutting


def _cut(blocks: Sequence[Block], about: _About, source: str) -> Iterator[Passage]:
    seen: set[str] = set()
    place = 0
    for title, section in _sections(blocks, about.title):
        for part in _parts(section):
            text = _as_text(part)
            identity = passage_id(source, title, text)
            if identity in seen:
                continue
            seen.add(identity)
            yield Passage(
                identity, text, source, title, about.kind, about.language, place, about.valid_from, about.valid_until,
                about.metadata,
            )  # fmt: skip
            place += 1


def passage_id(source: str, title: str, text: str) -> str:
    """32 hexadecimal digits of SHA-256 over the three, kept apart by a character that none of them holds."""
    return hashlib.sha256("\x00".join((source, title, text)).encode()).hexdigest()[:32]


def _sections(blocks: Sequence[Block], title: str) -> Iterator[tuple[str, list[Block]]]:
    """Runs of blocks under one path of headings. The document's title is the root; a first heading that repeats it is one with it."""
    path: list[tuple[int, str]] = []
    section: list[Block] = []
    for position, block in enumerate(blocks):
        if block.kind != "heading":
            section.append(block)
            continue
        if section:
            yield _title_path(title, path), section
        section = []
        path = [(level, text) for level, text in path if level < block.level]
        if position == 0 and block.level == 1:  # the title again, in other words perhaps
            continue
        path.append((block.level, block.text))
    if section:
        yield _title_path(title, path), section


def _title_path(title: str, path: list[tuple[int, str]]) -> str:
    parts = [title, *(text for _, text in path)]
    return " > ".join(text for number, text in enumerate(parts) if text and text not in parts[:number])


def _parts(section: list[Block]) -> list[list[Block]]:
    """A section whole, or cut at borders of paragraphs, else of sentences, near TARGET_WORDS."""
    if sum(word_count(block.text) for block in section) <= MOST_WORDS:
        return [section]
    parts: list[list[Block]] = [[]]
    length = 0.0
    for block in itertools.chain.from_iterable(map(_small_blocks, section)):
        words = word_count(block.text)
        if parts[-1] and length + words > TARGET_WORDS and not _leads_in(parts[-1][-1]):
            parts.append(_carried_over(parts[-1], block))
            length = sum(word_count(carried.text) for carried in parts[-1])
        parts[-1].append(block)
        length += words
    return parts


def _small_blocks(block: Block) -> list[Block]:
    """A paragraph longer than a passage may be, as its sentences."""
    if word_count(block.text) <= TARGET_WORDS:
        return [block]
    return [replace(block, kind="paragraph", text=text) for text in sentences(block.text)]


def _leads_in(block: Block) -> bool:
    return block.kind == "paragraph" and block.text.endswith((":", "："))


def _carried_over(part: list[Block], following: Block) -> list[Block]:
    """The line that leads into a list, to be said again where the list is cut."""
    if following.kind != "item":
        return []
    before = next((block for block in reversed(part) if block.kind != "item"), None)
    return [before] if before is not None and _leads_in(before) else []


def _as_text(part: list[Block]) -> str:
    """Paragraphs parted by an empty line; items of a list on lines of their own under what leads into them."""
    text = ""
    for before, block in zip([None, *part], part, strict=False):
        if before is not None:
            joins = block.kind == "item" and (before.kind == "item" or _leads_in(before))
            text += "\n" if joins else "\n\n"
        numbered = block.kind == "item" and block.text[:1].isdigit() and ") " in block.text[:4]
        text += "  " * block.level + ("" if numbered else "- ") + block.text if block.kind == "item" else block.text
    return text


# ---------------------------------------------------------------- products


def product_passages(products: Iterable[Product]) -> list[Passage]:
    """A passage for each product and language it is named in: description, category, brand, attributes, options.

    Prices and stock are not in it: they change, and questions about them are queries. `source` is "product:ID".
    """
    return [passage for product in products for passage in _of_product(product)]


def _of_product(product: Product) -> Iterator[Passage]:
    own = detect_language(f"{product.name} {product.description}")
    for language in [own, *(code for code in product.names if code != own)]:
        name = product.names.get(language, product.name)
        text = _product_text(product, language, name, own)
        source = f"product:{product.id}"
        metadata = {"product_id": product.id, "category": product.category, "brand": product.brand}
        yield Passage(
            passage_id(source, name, text), text, source, name, "product", language,
            metadata={key: value for key, value in metadata.items() if value},
        )  # fmt: skip


def _product_text(product: Product, language: str, name: str, own: str) -> str:
    labels = LABELS.get(language, LABELS["en"])
    category = product.categories.get(language, product.category)
    facts = {labels["category"]: category, labels["brand"]: product.brand, **product.attributes, **_options(product)}
    colon = "：" if language == "zh" else ":"
    lines = [f"- {key}{colon} {value}".replace("： ", "：") for key, value in facts.items() if str(value).strip()]
    description = product.descriptions.get(language, product.description if language == own else "")
    listed = "\n".join([f"{name}{colon}", *lines]) if lines else ""
    return "\n\n".join(filter(None, [description.strip(), listed])) or name


def _options(product: Product) -> dict[str, str]:
    """Each option with every value that some variant has, in the order of the variants."""
    values: dict[str, dict[str, None]] = {}
    for variant in product.variants:
        for key, value in variant.options.items():
            values.setdefault(key, {})[str(value)] = None
    return {key: ", ".join(each) for key, each in values.items()}
