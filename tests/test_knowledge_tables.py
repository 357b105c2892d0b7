"""Tables into passages: CSV, JSON lines, JSON and Parquet of products and answers, real ones and damaged ones."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.documents import MOST_WORDS, ReadResult, product_passages, read_documents
from knowledge.sentences import word_count
from knowledge.table_files import FEWEST_LINES, MOST_LINES, Row, read_csv
from shopbot.types import Passage, Product

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "product_matching"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no benchmark data in {DATA}")

CATALOG = """\
SKU;Product Name;Description;Brand;Category;Price;Currency;In_Stock;Ship_Weight
AB-1;Desk lamp;"Bends in
two places.";Lumo;lamps;£1,299.00;GBP;12;480 g
AB-2;Floor lamp;;Lumo;lamps;"12,50";GBP;sold out;
"""
FAQ = [
    {"id": "refund", "question": "How long does a refund take?", "answer": "Five working days.", "category": "Returns"},
    {"id": 2, "question": "运费是多少？", "answer": "满四十元免运费。", "valid_until": "2026-12-24"},
]


def read(folder: Path, **files: str | bytes) -> ReadResult:
    """What is read from these files, given by name in their order; `a_csv` stands for a.csv."""
    paths: list[Path] = []
    for name, content in files.items():
        paths.append(folder / name.replace("_", "."))
        paths[-1].write_bytes(content.encode() if isinstance(content, str) else content)
    return read_documents(paths, folder)


def lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parquet(rows: list[dict[str, Any]] | pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows) if isinstance(rows, list) else rows, file)
    return file.getvalue()


def one(result: ReadResult) -> Passage:
    assert result.problems == []
    (passage,) = result.passages
    return passage


# ---------------------------------------------------------------- what a row becomes


def test_products_of_a_csv_have_text_source_and_typed_metadata(tmp_path: Path) -> None:
    found = read(tmp_path, a_csv=CATALOG)
    assert found.problems == []
    desk, floor = found.passages
    assert (desk.source, desk.title, desk.kind, desk.language) == ("product:AB-1", "Desk lamp", "product", "en")
    assert desk.text == (
        "Bends in two places.\n\nDesk lamp:\n- Category: lamps\n- Brand: Lumo\n- SKU: AB-1\n- Ship Weight: 480 g"
    )
    same = {"category": "lamps", "brand": "Lumo", "currency": "GBP"}
    assert desk.metadata == {"product_id": "AB-1", "price": 1299.0, "in_stock": True, **same}
    assert floor.metadata == {"product_id": "AB-2", "price": 12.5, "in_stock": False, **same}


def test_questions_with_answers_are_policies_in_their_own_language(tmp_path: Path) -> None:
    refund, delivery = read(tmp_path, faq_jsonl=lines(FAQ)).passages
    assert (refund.source, refund.title, refund.text) == (
        "faq.jsonl#refund", "How long does a refund take?", "Five working days.",
    )  # fmt: skip
    assert (refund.kind, refund.language, refund.metadata) == ("policy", "en", {"category": "Returns"})
    assert (delivery.source, delivery.language, delivery.valid_until) == ("faq.jsonl#2", "zh", date(2026, 12, 24))


def test_a_product_row_is_the_passage_that_the_catalog_gives(tmp_path: Path) -> None:
    product = Product("P1", "Desk lamp", "lamps", "Lumo", "Bends.", {"height": "40 cm", "cable": "2 m"})
    row = {
        "id": "P1", "name": "Desk lamp", "description": "Bends.", "brand": "Lumo", "category": "lamps",
        "attributes": {"height": "40 cm", "cable": "2 m"},
    }  # fmt: skip
    assert [one(read(tmp_path, a_jsonl=lines([row])))] == product_passages([product])


def test_options_of_variants_are_said_and_their_prices_are_not(tmp_path: Path) -> None:
    variants = [{"sku": f"S-{size}", "price": 77, "stock": 4, "options": {"size": size}} for size in ("S", "M")]
    for given_as in (variants, {each["sku"]: each for each in variants}):
        row = {"product_id": "P1", "name": "Shirt", "variants": given_as}
        assert one(read(tmp_path, a_jsonl=lines([row]))).text == "Shirt:\n- size: S, M"


def test_rows_without_a_known_column_say_what_their_cells_mean(tmp_path: Path) -> None:
    france, italy = read(tmp_path, delivery_times_csv="Country,Days\nFrance,3\nItaly,4\n").passages[:2] or [None, None]
    assert france is not None
    assert italy is not None
    assert (france.source, france.kind, france.text) == (
        "delivery.times.csv:2", "policy", "delivery.times:\n- Country: France\n- Days: 3",
    )  # fmt: skip


def test_policy_rows_keep_their_price_in_the_text(tmp_path: Path) -> None:
    row = {"kind": "Policy", "title": "Express", "price": "£4.99", "text": "The next day."}
    passage = one(read(tmp_path, a_jsonl=lines([row])))
    assert (passage.kind, passage.text, passage.metadata) == (
        "policy", "The next day.\n\nExpress:\n- price: £4.99", {"price": 4.99},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"text": "x", "sku": "1"}, "product"),
        ({"text": "x", "brand": "b"}, "product"),
        ({"text": "x", "price": ""}, "product"),
        ({"text": "x", "id": "1"}, "policy"),
        ({"question": "q?", "answer": "a", "category": "c"}, "policy"),
        ({"text": "x", "kind": "products"}, "product"),
        ({"text": "x", "kind": "sofa bed", "category": "c"}, "product"),
    ],
)
def test_the_kind_is_said_or_guessed(tmp_path: Path, row: dict[str, str], kind: str) -> None:
    assert one(read(tmp_path, a_jsonl=lines([row]))).kind == kind


@pytest.mark.parametrize(
    ("price", "value"),
    [
        ("£12.50", 12.5), ("1,299.00", 1299), ("1.299,00 €", 1299), ("12,50", 12.5), ("1,299", 1299), ("USD 5", 5),
        ("1 299,00 kr.", 1299), ("CHF 1'299.00", 1299), ("¥300", 300), (19.99, 19.99), (5, 5), ("N/A", None), (None, None),
        (0, None), ("", None), ("12.-", 12),
    ],
)  # fmt: skip
def test_prices_are_read_as_shops_write_them(tmp_path: Path, price: object, value: float | None) -> None:
    row = {"id": "1", "name": "Lamp", "price": price}
    assert one(read(tmp_path, a_jsonl=lines([row]))).metadata.get("price") == value


@pytest.mark.parametrize(
    ("stock", "value"),
    [
        ("yes", True), ("In Stock", True), ("https://schema.org/OutOfStock", False), (0, False), ("3", True), (True, True),
        ("out_of_stock", False), ("-2", False), ("", None),
    ],
)  # fmt: skip
def test_stock_is_yes_or_no(tmp_path: Path, stock: object, value: bool | None) -> None:
    row = {"id": "1", "name": "Lamp", "price": 3, "availability": stock}
    assert one(read(tmp_path, a_jsonl=lines([row]))).metadata.get("in_stock") is value


def test_words_about_stock_that_could_mean_either_are_text(tmp_path: Path) -> None:
    passage = one(
        read(tmp_path, a_jsonl=lines([{"id": "1", "name": "Lamp", "availability": "in 3 weeks", "price": 1}]))
    )
    assert passage.text == "Lamp:\n- availability: in 3 weeks"
    assert "in_stock" not in passage.metadata


def test_a_long_document_in_a_row_is_cut_like_any_other(tmp_path: Path) -> None:
    content = "# Returns\n\n" + "\n\n".join(
        f"## Part {n}\n\n" + " ".join(f"Sentence {n}.{each} of many words." for each in range(60)) for n in range(4)
    )
    found = read(tmp_path, a_jsonl=lines([{"id": "7", "title": "Returns", "content": content}]))
    assert found.problems == []
    assert len(found.passages) == 8
    assert {passage.source for passage in found.passages} == {"a.jsonl#7"}
    assert found.passages[0].title == "Returns > Part 0"
    assert [passage.place for passage in found.passages] == list(range(len(found.passages)))
    assert all(word_count(passage.text) <= MOST_WORDS for passage in found.passages)


def test_html_in_a_cell_is_read_and_short_text_stays_one_passage(tmp_path: Path) -> None:
    row = {
        "handle": "lamp",
        "Title": "Lamp",
        "Body (HTML)": "<h2>Use</h2><p>At <b>home</b>.</p><ul><li>bends</ul>",
        "Vendor": "Lumo",
    }
    passage = one(read(tmp_path, a_jsonl=lines([row])))
    assert passage.text == "Use\n\nAt home.\n\n- bends\n\nLamp:\n- Brand: Lumo\n- handle: lamp"


def test_addresses_blobs_and_vectors_are_no_text(tmp_path: Path) -> None:
    row = {"text": "Bends.", "image": "https://shop.example/a.jpg", "vector": [0.5] * 400, "blob": "x" * 400}
    assert one(read(tmp_path, a_jsonl=lines([row]))).text == "Bends."
    row = {"text": "Bends.", "Conditions": "Only with a receipt. " * 30}
    assert "Conditions: Only with a receipt." in one(read(tmp_path, a_jsonl=lines([row]))).text


def test_the_language_of_a_book_is_no_code(tmp_path: Path) -> None:
    passage = one(
        read(tmp_path, a_jsonl=lines([{"id": "1", "name": "Novel", "language": "Middle English", "price": 3}]))
    )
    assert (passage.language, passage.text) == ("en", "Novel:\n- language: Middle English")


# ---------------------------------------------------------------- damaged rows


PROBLEMS = [
    ("jsonl", '{"id": 1, "text": "good"}\n{"id": 2,\n\n{"id": 3, "text": "good"}\n', 2, 2, "not JSON ("),
    ("jsonl", '{"text": "good"}\n[1]\n', 1, 2, 'not an object; write {"id"'),
    ("jsonl", '{"text": "good"}\n{"id": 4, "text": " "}\n', 1, 2, "no text in this row; fill a column such as"),
    ("jsonl", '{"text": "good"}\n{"id": 4, "question": "When?", "relevant": ["a"]}\n', 1, 2, "no text in this row"),
    ("jsonl", '{"text": "good"}\n{"text": "x", "valid_until": "soon"}\n', 1, 2, "valid_until is not a date: 'soon'; write"),
    ("jsonl", '{"text": "good"}\n{"text": "x", "price": "ask us"}\n', 1, 2, "price is not an amount: 'ask us'; write"),
    ("jsonl", '{"text": "good"}\n{"text": "x", "price": "£5 - £9"}\n', 1, 2, "price is not an amount"),
    ("jsonl", '{"text": "good"}\n{"text": "x", "valid_from": "2027-01-01", "valid_until": "2026-01-01"}\n', 1, 2, "valid_from 2027"),
    ("jsonl", '{"id": 1, "text": "good"}\n{"id": "1", "text": "other"}\n', 1, 2, "the id '1' stands in a.jsonl:1 already; give"),
    ("jsonl", '{"text": "good"}\n{"text": ' + "[" * 100_000 + "\n", 1, 2, "JSON that cannot be read ("),
    ("csv", "id,text\n1,good\n2,too,many\n3,good\n", 2, 3, "3 cells where the header has 2; put text that"),
    ("csv", "id,text\n1,good\n2\n3,good\n", 2, 3, "1 cell where the header has 2"),
    ("csv", 'id,text\n1,"open\n2,good\n3,good\n', 2, 2, "a quote is opened and not closed; close it"),
    ("csv", 'id,text\n1,"open\n' + "".join(f'{n},"good, too"\n' for n in range(2, 32)), 30, 2, "a quote is opened and not closed"),
    ("csv", "id,text\n1,good\n2,sch\xf6n\n3,good\n".encode("latin-1"), 2, 3, "not UTF-8 text (byte 0xF6, character 6); save"),
    ("csv", b'id,text\n1,"a\nb \xff"\n3,good\n', 1, 3, "not UTF-8 text (byte 0xFF, character 3)"),
    ("csv", b"\xff\xfei\0d\0", 0, 1, "UTF-16, not UTF-8 text; save the file as UTF-8"),
    ("csv", b"PK\x03\x04\0\0", 0, 1, "not text but binary"),
    ("csv", "", 0, 1, "there is no row in it"),
    ("csv", "id,text\n", 0, 1, "there is no row in it"),
    ("jsonl", '[\n{"text": "x"}\n]', 0, 1, "a JSON list, not an object a line; rename the file to a.json"),
    ("json", '[{"text": "good"},\n{"text": }, {"text": "x"}]', 1, 2, "not JSON from here on ("),
    ("json", '[{"text": "good"},\n3, {"text": "good"}]', 2, 2, "not an object"),
    ("json", '[{"text": "good"},\n{"text": "good", "id": 1}', 2, 2, "the list is not closed"),
    ("json", '{"text": "x"}', 0, 1, "not a list of objects; write"),
    ("parquet", b"PAR1 no", 0, 1, "not a whole Parquet file ("),
    ("parquet", parquet([{"text": "good", "price": "3"}, {"text": "x", "price": "?"}]), 1, 2, "price is not an amount: '?'"),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "content", "good", "line", "problem"), PROBLEMS, ids=range(len(PROBLEMS)))
def test_a_damaged_row_is_named_with_its_line_and_loses_no_other(
    tmp_path: Path, ending: str, content: str | bytes, good: int, line: int, problem: str
) -> None:
    found = read(tmp_path, **{f"a_{ending}": content})
    assert len(found.passages) == good
    (told,) = found.problems
    assert told.startswith(f"a.{ending}:{line}: {problem}")
    assert "; " in told


def test_an_id_counts_once_among_products_of_all_files_and_once_in_a_language(tmp_path: Path) -> None:
    first, second = {"sku": "7", "name": "Lamp"}, {"sku": "7", "name": "Bulb"}
    found = read(tmp_path, a_jsonl=lines([first]), b_jsonl=lines([second, {"sku": "7", "name": "台灯"}]))
    assert [(each.source, each.title) for each in found.passages] == [("product:7", "Lamp"), ("product:7", "台灯")]
    assert found.problems == ["b.jsonl:1: the id '7' stands in a.jsonl:1 already; give this row another, or remove it"]


def test_lines_are_right_behind_cells_of_several_lines(tmp_path: Path) -> None:
    text = 'id,text\r\n1,"a\r\nb ""c"""\r\n\r\n2,"d, e"\r\n'
    assert [row.line for row in rows(tmp_path, text)] == [2, 5]
    assert [dict(row.cells) for row in rows(tmp_path, text)] == [
        {"id": "1", "text": 'a\nb "c"'}, {"id": "2", "text": "d, e"},
    ]  # fmt: skip


def test_quotes_that_never_close_are_found_without_reading_all_again(tmp_path: Path) -> None:
    many = 10_000
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{n},x\n" for n in range(many)) + 'a","b\n' * many)
    begin = time.perf_counter()
    found = read_documents([tmp_path / "a.csv"], tmp_path)
    assert time.perf_counter() - begin < 20
    assert len(found.passages) >= many
    assert len(found.problems) >= many // FEWEST_LINES


def test_a_cell_may_have_many_lines(tmp_path: Path) -> None:
    cell = "\n".join(f"Line {number}, of many." for number in range(MOST_LINES - 100))
    assert [len(row.cells[1][1]) for row in rows(tmp_path, f'id,text\n1,"{cell}"\n2,good\n')] == [len(cell), 4]


def rows(folder: Path, text: str) -> list[Row]:
    (folder / "rows.csv").write_bytes(text.encode())
    found = list(read_csv(folder / "rows.csv"))
    assert all(isinstance(row, Row) for row in found)
    return [row for row in found if isinstance(row, Row)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "#"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiter_and_mark_are_found_by_looking(tmp_path: Path, delimiter: str, mark: str) -> None:
    text = mark + delimiter.join(("id", "name", "text")) + "\n"
    text += "".join(
        delimiter.join((str(n), f"Lamp {n}", '"It bends, in: one; two | three # four"')) + "\n" for n in range(9)
    )
    found = rows(tmp_path, text)
    assert len(found) == 9
    assert found[0].cells == [("id", "0"), ("name", "Lamp 0"), ("text", "It bends, in: one; two | three # four")]


def test_columns_without_a_name_or_with_the_same_are_kept_apart(tmp_path: Path) -> None:
    assert rows(tmp_path, "text,,text\na,b,c\n")[0].cells == [("text", "a"), ("column 2", "b"), ("text 3", "c")]


# ---------------------------------------------------------------- Parquet


def test_typed_and_nested_columns_of_parquet(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1.0, None]),
            "name": ["Lamp", "Shade"],
            "price": pa.array([Decimal("12.50"), None], pa.decimal128(9, 2)),
            "in_stock": [True, False],
            "valid_from": pa.array([datetime(2026, 11, 30, 8), None], pa.timestamp("ns", "UTC")),
            "made": pa.array([date(2026, 1, 2), None]),
            "size": [{"height": 40.0, "width": 2.5}, None],
            "tags": [["desk", "led"], []],
            "vector": [[0.5] * 400, [0.5] * 400],
            "photo": [b"\x89PNG", b""],
            "weight": pa.array([0.1, float("nan")], pa.float32()),
        }
    )
    lamp, shade = read(tmp_path, a_parquet=parquet(table)).passages
    assert lamp.text == ("Lamp:\n- made: 2026-01-02\n- height: 40\n- width: 2.5\n- tags: desk, led\n- weight: 0.1")
    assert (lamp.source, lamp.valid_from) == ("product:1", date(2026, 11, 30))
    assert lamp.metadata == {"product_id": "1", "price": 12.5, "in_stock": True}
    assert (shade.source, shade.text, shade.metadata) == ("a.parquet:2", "Shade", {"in_stock": False})


# ---------------------------------------------------------------- what is written comes back


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=12
)
CELL = st.lists(WORDS, min_size=1, max_size=6).map(" ".join) | st.sampled_from(
    ['say "hi"', "a, b; c", "two\nlines, here", "tab\there", "'", "# mark | bar"]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"name": CELL, "text": CELL, "brand": CELL, "price": st.integers(1, 10**6).map(lambda cents: str(cents / 100))}
    ),
    min_size=1,
    max_size=8,
)


def as_csv(rows: list[dict[str, str]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


FORMS: dict[str, Callable[[list[dict[str, str]]], str | bytes]] = {
    "csv": as_csv,
    "jsonl": lines,
    "json": lambda rows: json.dumps(rows, indent=2),
    "parquet": lambda rows: parquet([*rows]),
}


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_rows_come_back_alike_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, str]]
) -> None:
    numbered = [{"id": f"P{number}"} | row for number, row in enumerate(written)]
    folder = tmp_path_factory.mktemp("forms")
    found = {ending: read(folder, **{f"a_{ending}": form(numbered)}) for ending, form in FORMS.items()}
    assert all(result.problems == [] for result in found.values())
    assert all(result.passages == found["csv"].passages for result in found.values())
    for row, passage in zip(numbered, found["csv"].passages, strict=True):
        assert passage.source == f"product:{row['id']}"
        assert passage.metadata["price"] == float(row["price"])
        assert "".join(passage.metadata.get("brand", "")).split() == (
            row["brand"].split() if "brand" in passage.metadata else []
        )


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(("csv", "jsonl", "json")),
    st.binary(max_size=200) | st.text('{}[]":,;|\n\\ atex\ud800'.replace("\ud800", ""), max_size=200).map(str.encode),
)
def test_nothing_that_stands_in_a_table_raises(
    tmp_path_factory: pytest.TempPathFactory, ending: str, content: bytes
) -> None:
    found = read(tmp_path_factory.mktemp("any"), **{f"a_{ending}": content})
    assert found.passages or found.problems
    assert all(passage.text.strip() and passage.title for passage in found.passages)


def test_half_a_character_in_json_does_not_stop_the_rest(tmp_path: Path) -> None:
    found = read(tmp_path, a_jsonl='{"text": "half \\ud83d of it\\u0000"}\n{"text": "good", "price": NaN}\n')
    assert found.problems == []
    assert [passage.text for passage in found.passages] == ["half of it", "good"]


# ---------------------------------------------------------------- real catalogues


@needs_data
@pytest.mark.parametrize(
    ("name", "count", "metadata"),
    [
        ("D2/abt.csv", 1076, {"product_id": "1", "price": 399.0}),
        ("D2/buy.csv", 1076, {"product_id": "1"}),
        ("D3/amazon.csv", 1354, {"product_id": "1", "brand": "computer associates"}),
        ("D3/gp.csv", 3039, {"product_id": "1", "price": 8.49}),
        ("D8/walmart.csv", 2554, {"product_id": "1", "brand": "Epson", "price": 438.84}),
        ("D8/amazon.csv", 22074, {"product_id": "1", "brand": "Kodak", "price": 10.28}),
    ],
)
def test_public_catalogues_read_whole(name: str, count: int, metadata: dict[str, Any]) -> None:
    found = read_documents([DATA / name], DATA)
    assert found.problems == []
    assert {passage.source for passage in found.passages} == {f"product:{number}" for number in range(count)}
    assert {passage.kind for passage in found.passages} == {"product"}
    assert next(passage for passage in found.passages if passage.source == "product:1").metadata == metadata


def test_many_rows_take_time_in_proportion(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        path = tmp_path / "many.csv"
        path.write_text(
            "id,name,price,description\n" + "".join(f"{n},Lamp {n},{n}.50,It bends.\n" for n in range(count))
        )
        begin = time.perf_counter()
        assert len(read_documents([path], tmp_path).passages) == count
        return time.perf_counter() - begin

    assert seconds(20_000) < 16 * seconds(5_000)
