"""Cases of a shop's own files: catalog, orders, policies, shop.toml, tools.py, and shops with nothing in them."""

from __future__ import annotations

import gzip
import io
import json

from benchmarks.bad_input.case import LAMP, POLICY, PRODUCTS, TOML, Case, Content, lines, order, product

BOTH = (POLICY, LAMP)
LAMP_ROW, BIRCH, CEDAR = PRODUCTS


def catalog_cases() -> list[Case]:
    """Rows and files of a catalog."""
    rows = [
        Case("a line that is not JSON", {"catalog.jsonl": lines(LAMP_ROW, '{"product_id": "2", ', CEDAR)},
             (r"catalog\.jsonl:2: not JSON .*row left out",), answers=(*BOTH, ("How much is the Cedar Lamp?", "70"))),
        Case("a negative price", {"catalog.jsonl": lines(LAMP_ROW, product("2", "Birch Lamp", price=-5))},
             (r"catalog\.jsonl:2: price '-5' is below nought",), answers=BOTH),
        Case("a price in words", {"catalog.jsonl": lines(LAMP_ROW, product("2", "Birch Lamp", price="cheap"))},
             (r"catalog\.jsonl:2: price 'cheap' is not a number",), answers=BOTH),
        Case("no price: in the shop, its price not known",
             {"catalog.jsonl": lines(LAMP_ROW, product("2", "Birch Lamp", price=None))}, status=0,
             answers=(*BOTH, ("How much is the Birch Lamp?", "Birch Lamp"))),
        Case("a product id twice", {"catalog.jsonl": lines(*PRODUCTS, product("1", "Other Lamp", price=3))},
             (r"catalog\.jsonl:4: product_id '1' was given before",), answers=BOTH),
        Case("NaN", {"catalog.jsonl": lines(LAMP_ROW, product("2", "Birch Lamp", attributes={"weight": float("nan")}))},
             (r"catalog\.jsonl:2: .*NaN.*row left out",), answers=BOTH),
        Case("1e400", {"catalog.jsonl": lines(LAMP_ROW, json.dumps(BIRCH).replace("55", "1e400"))},
             (r"catalog\.jsonl:2: .*1e400.*row left out",), answers=BOTH),
        Case("a line of 10 MB", {"catalog.jsonl": lines(LAMP_ROW, product("2", "Birch Lamp", description="big " * 2_500_000))},
             (r"catalog\.jsonl:2: .*too long.*row left out",), answers=BOTH),
        Case("a line nested 100,000 deep", {"catalog.jsonl": lines(LAMP_ROW, '{"a":' + "[" * 100_000)},
             (r"catalog\.jsonl:2: .*row left out",), answers=BOTH),
        Case("values of the wrong kind", {"catalog.jsonl": lines(LAMP_ROW, {**BIRCH, "variants": 5}, {**CEDAR, "i18n": 3})},
             (r"catalog\.jsonl:2: .*row left out", r"catalog\.jsonl:3: .*row left out"), answers=BOTH),
    ]  # fmt: skip
    several: dict[str, Content] = {"catalog.jsonl": lines(LAMP_ROW, "{", CEDAR), "policies/x.pdf": _pdf("")}
    says = (r"catalog\.jsonl:2: not JSON", r"policies/x\.pdf:1: this PDF has no text")
    together = Case("with a scanned PDF among the policies", several, says, answers=BOTH, quick=True)
    return [*rows, *_catalog_files(), together]


def _catalog_files() -> list[Case]:
    """Whole files of a catalog: encodings, kinds, cut off."""
    text = lines(LAMP_ROW, product("2", "云杉灯 台灯", description="一盏很亮的台灯"))
    header = "product_id,name,category,sku,price\n"
    csv = TOML.replace("catalog.jsonl", "catalog.csv")
    parquet = TOML.replace("catalog.jsonl", "catalog.parquet")
    packed = TOML.replace("catalog.jsonl", "catalog.jsonl.gz")
    listed = json.dumps(list(PRODUCTS), indent=1)
    return [
        Case("GBK", {"catalog.jsonl": text.encode("gbk")}, (r"catalog\.jsonl:2: not UTF-8.*GB18030.*UTF-8",),
             answers=(*BOTH, ("云杉灯多少钱", "40"))),
        Case("UTF-16 with a mark", {"catalog.jsonl": text.encode("utf-16")}, status=0, answers=BOTH),
        Case("UTF-16 cut off", {"catalog.jsonl": text.encode("utf-16")[:-1]}, (r"catalog\.jsonl:\d+: .*UTF-16.*UTF-8",)),
        Case("Latin-1", {"catalog.jsonl": lines(LAMP_ROW, product("2", "Café Lamp")).encode("latin-1")},
             (r"catalog\.jsonl:2: not UTF-8, so read as Latin-1; save",), answers=(*BOTH, ("How much is the Café Lamp?", "40"))),
        Case("UTF-8 with a mark", {"catalog.jsonl": text.encode("utf-8-sig")}, status=0, answers=BOTH),
        Case("an empty file", {"catalog.jsonl": ""}, (r"catalog\.jsonl: no usable rows",), answers=(POLICY,)),
        Case("a JSON list in a .jsonl", {"catalog.jsonl": listed}, (r"catalog\.jsonl:1: a JSON list.*\.json",)),
        Case("CSV without a needed column", {"shop.toml": csv, "catalog.csv": "product_id,price\n1,40\n2,50\n"},
             (r"catalog\.csv:2: no name; row left out", r"catalog\.csv: no usable rows; .*columns = "), answers=(POLICY,)),
        Case("ragged CSV", {"shop.toml": csv, "catalog.csv": header + "1,Alder Lamp,lamps,S1,40\n2,Birch\n3,C,l,S3,5,x,y\n"},
             (r"catalog\.csv:4: 7 fields where the header has 5",), answers=BOTH),
        Case("CSV with a NUL byte", {"shop.toml": csv, "catalog.csv": header + "1,Alder Lamp,lamps,S1,40\n2,B\0,l,S2,5\n"},
             (r"catalog\.csv:3: .*row left out",), answers=BOTH),
        Case("CSV with a quote left open", {"shop.toml": csv, "catalog.csv": header + '1,Alder Lamp,l,S1,40\n2,"B,l,S2,5\n' + "3,x,l,S3,5\n" * 9},
             status=0, answers=BOTH),
        Case("Parquet cut in half", {"shop.toml": parquet, "catalog.parquet": _parquet()[:400]},
             (r"catalog\.parquet: not a readable Parquet file",)),
        Case("a gzip file cut in half", {"shop.toml": packed, "catalog.jsonl.gz": gzip.compress(text.encode())[:50]},
             (r"catalog\.jsonl\.gz: cannot read a \.gz; give \.jsonl",)),
    ]  # fmt: skip


def order_cases() -> list[Case]:
    """Orders."""
    ask = ("ask", "Where is my order W1?", "--as", "ann")
    gone = {**order("W1")["items"][0], "product_id": "999", "name": "Old Lamp"}
    return [
        Case("an order of an unknown shopper", {"orders.jsonl": lines(order("W1"), order("W2", user_id="nobody"))},
             (r"orders\.jsonl:2: .*'nobody'.*shoppers\.jsonl",), answers=BOTH),
        Case("an order of a product that is gone", {"orders.jsonl": lines(order("W1", items=[gone]))},
             (r"Old Lamp",), status=0, command=("ask", "What is in my order W1?", "--as", "ann"), answers=BOTH),
        Case("a day that is none", {"orders.jsonl": lines(order("W1"), order("W2", placed_on="2026-13-40"))},
             (r"W1", r"orders\.jsonl:2: placed_on '2026-13-40' is not a day.*row left out"), status=0, command=ask, answers=BOTH),
        Case("items and payments of the wrong kind",
             {"orders.jsonl": lines(order("W1"), order("W2", items=["x"]), order("W3", payment_history=5), order("W4", fulfillments=7))},
             (r"W1", r"orders\.jsonl:2: .*row left out", r"orders\.jsonl:3: .*row left out", r"orders\.jsonl:4: .*row left out"),
             status=0, command=ask, answers=BOTH),
    ]  # fmt: skip


def policy_cases() -> list[Case]:
    """Documents that cannot be used are named with their line; the others go in."""

    def one(what: str, name: str, content: Content, *says: str, quick: bool = False) -> Case:
        return Case(what, {f"policies/{name}": content}, says, answers=BOTH, quick=quick)

    def front(text: str) -> str:
        return f"---\ntitle: Returns\n{text}\n---\nReturns are free.\n"

    pdf = _pdf("Returns are free within 30 days. " * 20)
    return [
        one("front matter that is not YAML", "x.md", front("a: [b"), r"policies/x\.md:\d+: the front matter is not YAML"),
        one("front matter left open", "x.md", "---\ntitle: X\n\nText.\n", r"policies/x\.md:1: .*not closed; put a line ---"),
        one("valid_until before valid_from", "x.md", front("valid_from: 2026-12-01\nvalid_until: 2026-01-01"),
            r"policies/x\.md:3: valid_from 2026-12-01 is after valid_until 2026-01-01"),
        one("an impossible day", "x.md", front("valid_until: 2026-02-30"), r"policies/x\.md:3: .*impossible.*mend"),
        one("an unknown language", "x.md", front("language: Klingon"), r"policies/x\.md:3: language 'Klingon'.*en"),
        one("a scanned PDF", "x.pdf", _pdf(""), r"policies/x\.pdf:1: this PDF has no text.*OCR"),
        one("an encrypted PDF", "x.pdf", _pdf("Returns are free.", "secret"), r"policies/x\.pdf:1: .*password"),
        one("a PDF cut in half", "x.pdf", pdf[: len(pdf) // 2], r"policies/x\.pdf:1: .*cut off.*again"),
        one("a PDF without its end", "x.pdf", pdf[:-30], r"policies/x\.pdf:1: .*cut off.*again"),
        one("a .pdf that is none", "x.pdf", b"\x00\x01binary" * 99, r"policies/x\.pdf:1: .*PDF.*again"),
        one("HTML with no body", "x.html", "<html><head><title>Returns</title></head></html>",
            r"policies/x\.html:1: there is no text in it"),
        one("an empty .md", "x.md", "", r"policies/x\.md:1: there is no text in it; write some or remove the file"),
        one("a picture named .md", "x.md", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, r"policies/x\.md:\d+: not UTF-8 text"),
        one("zeros named .md", "x.md", bytes(5000), r"policies/x\.md:1: .*not text"),
        one("a page in GBK", "x.md", "退货免费".encode("gbk"), r"policies/x\.md:1: not UTF-8 text; save"),
        one("a paragraph of 2 MB", "x.md", "Returns are free " * 120_000, r"policies/x\.md:1: .*too long"),
    ]  # fmt: skip


def empty_cases() -> list[Case]:
    """Shops with nothing in them."""
    bare = TOML.split("[parts]")[0]
    ask = ("ask", "How long do refunds take?")
    return [
        Case("no parts: the bot says that it does not know", {"shop.toml": bare}, (r"I do not find that .*a person",), 0, ask),
        Case("no parts: an ingest", {"shop.toml": bare}, (r"0 passages",), 0),
        Case("every part empty", {"catalog.jsonl": "", "orders.jsonl": "", "shoppers.jsonl": "", "policies/refunds.md": "",
             "policies/delivery.md": ""}, (r"catalog\.jsonl: no usable rows", r"policies/refunds\.md:1: there is no text")),
        Case("a policies folder with nothing in it", {"policies/refunds.md": None, "policies/delivery.md": None},
             (r"policies: no document in this folder; put",), answers=(LAMP,)),
        Case("no policies folder", {"policies": None}, (r"shop\.toml:\d+: .*policies",)),
        Case("no shop.toml", {"shop.toml": None}, (r"shop\.toml is not there.*copy sample_shop/shop\.toml",)),
        Case("an empty shop.toml", {"shop.toml": ""}, (r"shop\.toml: shop is missing",)),
        Case("no such folder", {}, (r"shop\.toml is not there",), 2, ("ingest", "--shop", "nowhere", "--home", "home")),
    ]  # fmt: skip


def toml_cases() -> list[Case]:
    """Slips of typing in shop.toml: each is named with its line."""

    def one(what: str, old: str, new: str, *says: str, quick: bool = False) -> Case:
        return Case(what, {"shop.toml": TOML.replace(old, new)}, says, quick=quick)

    return [
        one("an unknown key", "orders =", "order =", r"shop\.toml:11: unknown key 'parts\.order'; did you mean 'orders'", quick=True),
        one("an unknown section", "[parts]", "[part]", r"shop\.toml:9: unknown key 'part'; did you mean 'parts'"),
        one("a key given twice", "orders =", "catalog =", r"shop\.toml: .*line 11"),
        one("a quote left open", '"GBP"', '"GBP', r"shop\.toml: not TOML: .*line 6"),
        one("a time zone that is none", "Europe/London", "Europe/Londn", r"shop\.toml:5: .*'Europe/Londn'.*'?Europe/London"),
        one("a currency that is none", "GBP", "pounds", r"shop\.toml:6: .*'pounds'.*GBP"),
        one("a day that is none", "2026-11-20", "2026-13-40", r"shop\.toml:4: .*'2026-13-40'.*2026-11-20"),
        one("a day in words", "2026-11-20", "tomorrow", r"shop\.toml:4: .*'tomorrow'.*relative"),
        one("a TOML day that is none", '"2026-11-20"', "2026-02-30", r"shop\.toml: not TOML: .*line 4"),
        one("a language that is none", "[parts]", 'languages = ["English"]\n[parts]', r"shop\.toml:9: .*'English'.*en"),
        one("a list where a text belongs", '"catalog.jsonl"', '["catalog.jsonl"]', r"shop\.toml:10: parts\.catalog: .*string"),
        one("a file that does not exist", '"catalog.jsonl"', '"catalogue.jsonl"',
            r"shop\.toml:10: .*'catalogue\.jsonl'.*did you mean 'catalog\.jsonl'"),
        one("a key that a JSON file has not", '"catalog.jsonl"', '"all.json#products"', r"all\.json"),
        Case("shop.toml in Latin-1", {"shop.toml": TOML.replace("Fernhill", "Fernhöh").encode("latin-1")},
             (r"shop\.toml:\d+: not UTF-8.*save it as UTF-8",)),
    ]  # fmt: skip


def tools_cases() -> list[Case]:
    """The shop's own tools."""

    def one(what: str, text: str, *says: str, quick: bool = False) -> Case:
        files: dict[str, Content] = {"shop.toml": TOML + 'tools = "tools.py"\n', "tools.py": text}
        return Case(what, files, says, 2, ("ask", "How long do refunds take?"), quick=quick)

    start = "from shopbot.tools import shop_tool\n\n@shop_tool\n"
    return [
        one("tools.py raises", "import os\n\nx = 1 / 0\n", r"tools\.py:3: .*ZeroDivisionError"),
        one("tools.py imports what is not there", "import nonesuch_library\n", r"tools\.py:1: .*nonesuch_library.*install"),
        one("tools.py with a slip of syntax", "def f(:\n    pass\n", r"tools\.py:1: .*syntax"),
        one("a tool without a docstring", start + "def gift(name: str) -> str:\n    return name\n",
            r"tools\.py:3: .*gift: write a docstring"),
        one("a tool with an argument of no type", start + 'def gift(name) -> str:\n    """Wrap it."""\n    return name\n',
            r"tools\.py:3: .*gift: annotate name"),
        one("a tool that ends the program", "import sys\nsys.exit(0)\n", r"tools\.py:2: .*exit"),
        one("a tool that wants what nobody provides", "from pathlib import Path\n" + start
            + 'def gift(where: Path) -> str:\n    """Wrap it."""\n    return ""\n', r"tool gift asks for a Path, which nobody provides"),
        Case("no tools.py", {"shop.toml": TOML + 'tools = "tools.py"\n'}, (r"shop\.toml:14: .*'tools\.py'",)),
    ]  # fmt: skip


def shop_cases() -> dict[str, list[Case]]:
    """All of them, by what they are about."""
    return {
        "catalog": catalog_cases(),
        "orders": order_cases(),
        "policies": policy_cases(),
        "empty shop": empty_cases(),
        "shop.toml": toml_cases(),
        "tools.py": tools_cases(),
    }


# ---------------------------------------------------------------- files


def _parquet() -> bytes:
    import pyarrow
    import pyarrow.parquet

    written = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"product_id": "1", "name": "Alder Lamp"}]), written)
    return written.getvalue()


def _pdf(text: str, password: str = "") -> bytes:
    """One page with a line of text (none: an empty page, as a scan has), perhaps encrypted."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    page = writer.add_blank_page(600, 800)
    if text:
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        names = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
        fonts = DictionaryObject({NameObject("/F1"): names})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)
    if password:
        writer.encrypt(password)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()
