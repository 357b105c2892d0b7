"""The formats of documents: Markdown, HTML, plain text and Chinese, and PDFs that a real browser printed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from knowledge.blocks import read_text
from knowledge.documents import ReadResult, read_documents
from knowledge.from_html import read_html
from knowledge.from_markdown import read_markdown
from shopbot.types import Passage

MARKDOWN = """---
title: Returns & refunds
language: en
valid_from: 2026-11-01
valid_until: 2026-12-31
---

# Returns and refunds

You have **30 days**. Look at [your order](https://shop.example) and `RMA-1`.

## Who pays

We pay for:

- our errors
  - a wrong item
  - a late one
- faults

### By country

| Country | Days |
|---|---:|
| France | 3 |
| Italy | |

## How

1. Pack it.

   ```
   print label --order 1234
   ```

2. Post it.

> Keep the receipt.

<div><p>Sale items stay <b>sold</b>.</p></div>
"""

HTML = """<!DOCTYPE html>
<html lang="en-GB"><head><title>Delivery
  times</title><meta name="valid_until" content="2026-12-24"><style>p {color: red}</style></head><body>
<nav><ul><li>Home</li></ul></nav><script>var hidden = "no";</script>
<h1>Delivery</h1><p>It takes &lt; 3&nbsp;days &amp; is<br>free.
<h2>Prices</h2>
<table><thead><tr><th>Country<th>Price</tr></thead><tr><td>France</td><td>£3</td></tr><tr><td>Italy<td>£4</table>
<h2>Steps</h2><ol><li><p>Order.</p><p>Pay.</p></li><li>Wait<ul><li>at home</li></ul></li></ol>
<footer>Imprint</footer></body></html>"""

CHINESE = """# 退货政策

## 谁付运费

商品有质量问题时，运费由我们承担，
请保留收据。

- 退货期限：30 天
- 特价商品不退
"""

TEXT = """WARRANTY TERMS
==============

We repair for two years.
The second line goes on.

2.1 What is covered

You can claim for:
- motors
  and gears
- seams
"""


def read(folder: Path, **files: str | bytes) -> ReadResult:
    """What is read from a folder of these files; `a_md` stands for a.md."""
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_documents([folder], folder)


def texts(passages: Sequence[Passage]) -> dict[str, str]:
    return {passage.title: passage.text for passage in passages}


# ---------------------------------------------------------------- each format


def test_markdown_is_cut_at_its_headings_and_loses_no_text(tmp_path: Path) -> None:
    found = read(tmp_path, a_md=MARKDOWN)
    assert found.problems == []
    assert texts(found.passages) == {
        "Returns & refunds": "You have 30 days. Look at your order and RMA-1.",
        "Returns & refunds > Who pays": "We pay for:\n- our errors\n  - a wrong item\n  - a late one\n- faults",
        "Returns & refunds > Who pays > By country": "- Country: France; Days: 3\n- Country: Italy",
        "Returns & refunds > How": "1) Pack it. print label --order 1234\n2) Post it.\n\nKeep the receipt.\n\n"
        "Sale items stay sold.",
    }


def test_front_matter_says_language_and_validity(tmp_path: Path) -> None:
    for passage in read(tmp_path, a_md=MARKDOWN).passages:
        assert (passage.language, passage.kind, passage.source) == ("en", "policy", "a.md")
        assert (passage.valid_from, passage.valid_until) == (date(2026, 11, 1), date(2026, 12, 31))


def test_places_count_the_passages_of_a_document(tmp_path: Path) -> None:
    assert [passage.place for passage in read(tmp_path, a_md=MARKDOWN).passages] == [0, 1, 2, 3]


def test_html_is_read_without_navigation_and_with_tags_left_open(tmp_path: Path) -> None:
    found = read(tmp_path, a_html=HTML)
    assert found.problems == []
    assert texts(found.passages) == {
        "Delivery times": "It takes < 3 days & is free.",
        "Delivery times > Prices": "- Country: France; Price: £3\n- Country: Italy; Price: £4",
        "Delivery times > Steps": "1) Order. Pay.\n2) Wait\n  - at home",
    }
    assert {(each.language, each.valid_from, each.valid_until) for each in found.passages} == {
        ("en", None, date(2026, 12, 24))
    }


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("<td>a</td>b</table></ul><p>c", ["a", "b", "c"]),
        ("<table><tr><td><h1>Title</h1><p>one</p></td></tr></table>tail", ["Title one", "tail"]),
        ("<table><tr><td>outer<table><tr><td>inner</table></table>tail", ["outer", "inner", "tail"]),
        ("<details><summary>Who?</summary>We.</details>", ["Who?", "We."]),
        ("<table><tr><td>never closed", ["never closed"]),
        ("<p>收到<b>商品</b>后\n三十天", ["收到商品后三十天"]),
    ],
)
def test_odd_pages_keep_their_words_apart(page: str, blocks: list[str]) -> None:
    assert [block.text for block in read_html(page).blocks] == blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("- \n- b", ["b"]),
        ("1. - x\n   - y\n2. z", ["x", "y", "2) z"]),
        ("3. c\n4. d", ["3) c", "4) d"]),
        ("- a\n\n  > quoted\n\n  | x | y |\n  |---|---|\n  | 1 | 2 |\n\n  after", ["a quoted", "x: 1; y: 2", "after"]),
        ("| only | a header |\n|---|---|", ["only; a header"]),
        ("![photo](x.png) of it", ["photo of it"]),
        ("a  \nb\nc", ["a b c"]),
    ],
)
def test_odd_lists_and_tables_keep_their_words(text: str, blocks: list[str]) -> None:
    assert [block.text for block in read_markdown(text).blocks] == blocks


def test_plain_text_finds_its_headings_by_their_form(tmp_path: Path) -> None:
    assert texts(read(tmp_path, a_txt=TEXT).passages) == {
        "WARRANTY TERMS": "We repair for two years. The second line goes on.",
        "WARRANTY TERMS > 2.1 What is covered": "You can claim for:\n- motors and gears\n- seams",
    }


def test_plain_text_keeps_sentences_that_stand_alone() -> None:
    blocks = read_text("We are open on Sundays.\n\n- one item\n\n10 days later,\n\n---").blocks
    assert [(block.kind, block.text) for block in blocks] == [
        ("paragraph", "We are open on Sundays."),
        ("item", "one item"),
        ("paragraph", "10 days later,"),
        ("paragraph", "---"),
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("We deliver on Sundays", "We deliver on Sundays"),
        ("Returns\n\nNo returns on sale items\n\nGift cards neither", "No returns on sale items\n\nGift cards neither"),
        ("Returns\n\nSale items\n\nThey stay sold.\n\nSee you soon", "They stay sold.\n\nSee you soon"),
    ],
)
def test_a_short_line_with_nothing_below_it_is_text(tmp_path: Path, text: str, kept: str) -> None:
    assert read(tmp_path, a_txt=text).passages[-1].text == kept


def test_chinese_is_known_by_its_characters_and_lines_join_without_a_space(tmp_path: Path) -> None:
    (passage,) = read(tmp_path, a_md=CHINESE).passages
    assert (passage.title, passage.language) == ("退货政策 > 谁付运费", "zh")
    assert passage.text == "商品有质量问题时，运费由我们承担，请保留收据。\n\n- 退货期限：30 天\n- 特价商品不退"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    plain = read(tmp_path, a_md=MARKDOWN, b_txt=TEXT)
    windows = {"a_md": MARKDOWN, "b_txt": TEXT}
    again = read(
        tmp_path, **{name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in windows.items()}
    )
    assert again == plain


# ---------------------------------------------------------------- PDF, printed by a real browser


PRINTED = {
    "en": "<title>Returns</title><h1>Returns</h1><p>You can return an item within 30 days of delivery. Keep the receipt, since "
    "without it we cannot find the order that the item belongs to, and the refund takes longer than it should take."
    "<h2>Sale items</h2><p>Sale items stay sold.<p>Gift cards too.<h2>How an item comes back to us "
    "when it was sent as a present and the giver shall not hear of it</h2><ol><li>Pack it.<li>Post it.</ol>",
    "zh": "<title>退货</title><h1>退货</h1><p>" + "收到商品后三十天内可以退货，长期质保的商品也一样，请在页面上用订单号申请。" * 3
    + "<h2>大件</h2><p>家具由货车上门取件，运费从退款金额中扣除。",
}  # fmt: skip


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of PDFs."""
    folder = tmp_path_factory.mktemp("printed")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        page = browser.new_page()
        for name, text in PRINTED.items():
            page.set_content(f'<html lang="{name}">{text}')
            page.pdf(path=folder / f"{name}.pdf")
        browser.close()
    return folder


def test_a_printed_page_has_headings_by_size_paragraphs_and_lists(printed: Path) -> None:
    found = read_documents([printed / "en.pdf"], printed)
    assert found.problems == []
    assert texts(found.passages) == {
        "Returns": "You can return an item within 30 days of delivery. Keep the receipt, since without it we cannot find the "
        "order that the item belongs to, and the refund takes longer than it should take.",
        "Returns > Sale items": "Sale items stay sold.\n\nGift cards too.",
        "Returns > How an item comes back to us when it was sent as a present and the giver shall not hear of it": (
            "1) Pack it.\n2) Post it."
        ),
    }


def test_a_printed_chinese_page_has_ideographs_and_no_radicals_or_gaps(printed: Path) -> None:
    found = read_documents([printed / "zh.pdf"], printed)
    assert {passage.language for passage in found.passages} == {"zh"}
    assert texts(found.passages) == {
        "退货": "收到商品后三十天内可以退货，长期质保的商品也一样，请在页面上用订单号申请。" * 3,
        "退货 > 大件": "家具由货车上门取件，运费从退款金额中扣除。",
    }


def test_a_pdf_without_text_or_cut_off_is_a_problem(printed: Path, tmp_path: Path) -> None:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    writer.write(tmp_path / "scan.pdf")
    (tmp_path / "cut.pdf").write_bytes((printed / "en.pdf").read_bytes()[:300])
    found = read_documents([tmp_path], tmp_path)
    assert found.passages == []
    cut, scan = found.problems
    assert cut.startswith("cut.pdf:1: not a ")
    assert scan == "scan.pdf:1: this PDF has no text in it (a scan?); run OCR on it, or give the text as Markdown"
