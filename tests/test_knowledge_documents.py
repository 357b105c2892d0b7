"""Documents into passages: ids, long sections, which files are read, what is wrong with them; and products."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from instruments import PRODUCTS
from knowledge.documents import MOST_WORDS, product_passages, read_documents
from knowledge.sentences import sentences, word_count
from shopbot.types import Product, Variant

# ---------------------------------------------------------------- ids


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_documents_or_sections(
    tmp_path_factory: pytest.TempPathFactory, shuffle: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("shuffled")
    sections = [f"## Part {number}\n\nText of part {number}.\n" for number in range(6)]
    files = {f"{name}.md": f"# Document {name}\n\n" + "\n".join(sections) for name in "abc"}
    for name, text in files.items():
        (folder / name).write_text(text)
    before = read_documents([folder], folder).passages

    shuffle.shuffle(sections)
    for name in files:
        (folder / name).write_text(f"# Document {name[0]}\n\n" + "\n".join(sections))
    paths = [folder / name for name in files]
    shuffle.shuffle(paths)
    after = read_documents(paths, folder).passages

    assert {passage.id: passage.text for passage in after} == {passage.id: passage.text for passage in before}
    assert len({passage.id for passage in before}) == 18


def test_an_id_changes_with_source_title_or_text_and_with_nothing_else(tmp_path: Path) -> None:
    text = "---\ntitle: {}\nvalid_from: {}\n---\n\nAll is {}.\n"

    def identity(name: str, *values: str) -> str:
        (tmp_path / name).write_text(text.format(*values))
        return read_documents([tmp_path / name], tmp_path).passages[0].id

    first = identity("a.md", "Title", "2026-01-01", "well")
    assert identity("a.md", "Title", "2026-02-02", "well") == first
    others = [
        identity("b.md", "Title", "2026-01-01", "well"),
        identity("a.md", "Other", "2026-01-01", "well"),
        identity("a.md", "Title", "2026-01-01", "bad"),
    ]
    assert len({first, *others}) == 4


def test_text_said_twice_under_one_heading_is_one_passage(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# T\n\n## S\n\nSame.\n\n## S\n\nSame.\n")
    found = read_documents([tmp_path], tmp_path)
    assert [passage.text for passage in found.passages] == ["Same."]


# ---------------------------------------------------------------- long sections


WORDS = st.lists(st.sampled_from("refund parcel voucher order label carrier".split()), min_size=3, max_size=90)


@settings(deadline=None, max_examples=30)
@given(st.lists(WORDS, min_size=1, max_size=12))
def test_a_long_section_is_cut_between_sentences_and_loses_none(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("long")
    written = [f"Number {number} {' '.join(words)}." for number, words in enumerate(paragraphs)]
    (folder / "a.md").write_text("# Title\n\n" + "\n\n".join(written))
    found = read_documents([folder], folder).passages
    assert [sentence for passage in found for sentence in sentences(passage.text)] == written
    assert all(word_count(passage.text) <= MOST_WORDS for passage in found)


def test_a_long_list_says_what_leads_into_it_in_each_part(tmp_path: Path) -> None:
    items = [f"- item {number} with " + "some " * 10 + "words" for number in range(40)]
    (tmp_path / "a.md").write_text("# Title\n\nNot taken back:\n\n" + "\n".join(items))
    found = read_documents([tmp_path], tmp_path).passages
    assert len(found) > 2
    assert all(passage.text.startswith("Not taken back:\n- item") for passage in found)
    assert [line for passage in found for line in passage.text.split("\n")[1:]] == items


# ---------------------------------------------------------------- which files, and what is wrong with them


def test_folders_are_read_to_the_bottom_without_hidden_and_other_files(tmp_path: Path) -> None:
    root = tmp_path / ".hidden" / "docs"
    for name in ("b.md", "a.md", "deep/er/c.TXT", ".git/d.md", "deep/.e.md", "photo.jpg", "data.xlsx"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("Words of it.")
    found = read_documents([root], root)
    assert [passage.source for passage in found.passages] == ["a.md", "b.md", "deep/er/c.TXT"]
    assert found.problems == []


def test_sources_are_relative_to_the_root_and_whole_where_they_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "shop" / "policies").mkdir(parents=True)
    (tmp_path / "shop" / "policies" / "a.md").write_text("Inside.")
    (tmp_path / "b.md").write_text("Outside.")
    found = read_documents([tmp_path / "shop" / "policies", tmp_path / "b.md"], tmp_path / "shop").passages
    assert [passage.source for passage in found] == ["policies/a.md", (tmp_path / "b.md").as_posix()]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.md", "---\ntitle: x\nvalid_from: soon\n---\n\nText.", "a.md:3: valid_from is not a date: 'soon'; write it as"),
        ("a.md", "---\nvalid_until: 2026-01-01\nvalid_from: 2026-02-01\n---\nText.", "a.md:3: valid_from 2026-02-01 is after"),
        ("a.md", "---\ntitle: x\nvalid_from: 2026-02-30\n---\n\nText.", "a.md:3: the front matter holds an impossible"),
        ("a.md", "---\ntitle: x\n\nText.", "a.md:1: the front matter is not closed; put a line --- after it"),
        ("a.md", "---\ntitle: x\n: [\n---\n\nText.", "a.md:3: the front matter is not YAML"),
        ("a.md", "---\n- x\n---\n\nText.", "a.md:2: the front matter is not a list of `key: value` lines"),
        ("a.md", b"Good.\n\nNot g\xf6\xf6d.", "a.md:3: not UTF-8 text; save the file as UTF-8"),
        ("a.html", '<html>\n<meta name="valid_until" content="never">\n<p>Text', "a.html:2: valid_until is not a date: 'never'"),
        ("a.txt", " \n\n", "a.txt:1: there is no text in it; write some or remove the file"),
        ("a.html", "<nav>Home</nav><script>x</script>", "a.html:1: there is no text in it"),
        ("a.md", "# Returns\n\n## Refunds", "a.md:1: there are only headings in it"),
        ("a.docx", b"PK", "a.docx:1: .docx is not read here; give .htm, .html"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (tmp_path / "good.md").write_text("The others go in.")
    found = read_documents([tmp_path / name, tmp_path / "good.md"], tmp_path)
    assert [passage.source for passage in found.passages] == ["good.md"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(problem)


def test_a_path_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (problem,) = read_documents([tmp_path / "none.md"], tmp_path).problems
    assert problem == "none.md:1: cannot be read (No such file or directory); check the path and its permissions"


@settings(deadline=None, max_examples=60)
@example("md", "0\n#")
@example("md", "---\ntitle: ' '\n---\nhello")
@given(st.sampled_from(("md", "html", "txt")), st.text(max_size=200) | st.text("<>/tdrlihp1- \n#|:*`", max_size=200))
def test_nothing_that_stands_in_a_document_raises(
    tmp_path_factory: pytest.TempPathFactory, ending: str, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / f"a.{ending}"
    path.write_text(text, encoding="utf-8")
    found = read_documents([path], path.parent)
    assert all(passage.text.strip() and passage.title for passage in found.passages)
    assert bool(found.passages) != bool(found.problems)


# ---------------------------------------------------------------- products


def test_a_product_is_a_passage_in_each_language_it_is_named_in() -> None:
    english, chinese = product_passages(PRODUCTS[:1])
    assert (english.language, english.title, english.source) == ("en", "Aria 2 Violin", "product:I1001")
    assert english.text == (
        "A first violin for school orchestras.\n\nAria 2 Violin:\n- Category: violins\n- Brand: Cremo\n- top wood: spruce\n"
        "- weight: 480 g\n- case included: yes\n- size: 3/4, 4/4\n- colour: amber, black"
    )
    assert english.metadata == {"product_id": "I1001", "category": "violins", "brand": "Cremo"}
    assert (chinese.language, chinese.title, chinese.kind) == ("zh", "Aria 2 小提琴", "product")
    assert chinese.text.startswith("Aria 2 小提琴：\n- 类别：小提琴\n- 品牌：Cremo\n")


def test_prices_and_stock_are_in_no_product_passage() -> None:
    variants = (Variant("S-1", Decimal("77.35"), available=True, stock=4321, options={"size": "L"}),)
    (passage,) = product_passages([Product("P1", "Lamp", variants=variants)])
    assert passage.text == "Lamp:\n- size: L"


def test_every_product_has_passages_with_ids_of_their_own() -> None:
    found = product_passages(PRODUCTS)
    assert len(found) == 2 * len(PRODUCTS) == len({passage.id for passage in found})
    assert product_passages(reversed(PRODUCTS))[-2:] == found[:2]
