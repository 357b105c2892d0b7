"""The bot as a LangChain Runnable: message in, text out, so that it takes its place in a chain or behind LangServe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

from shopbot.errors import UsageError
from shopbot.types import Said, Shopper

if TYPE_CHECKING:
    from shopbot.bot import ShopBot


class BotRunnable(Runnable[str, str]):
    """`invoke`, `ainvoke` and `astream` over `ShopBot`; refuses to run without a shopper."""

    def __init__(self, bot: ShopBot) -> None:
        self._bot = bot

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """Answer in a loop of its own; inside a running loop use `ainvoke`."""
        return asyncio.run(self.ainvoke(input, config))

    async def ainvoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """The text of the answer."""
        return "".join([piece async for piece in self.astream(input, config)])

    async def astream(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[str]:
        """The pieces of the answer, each after its checks."""
        chosen = (config or {}).get("configurable", {})
        shopper = chosen.get("shopper")
        if not isinstance(shopper, Shopper):
            raise UsageError(
                'who is asking? Pass config={"configurable": {"shopper": Shopper("…")}} from your own login; '
                "Shopper() is a visitor."
            )
        async for event in self._bot.stream(input, shopper=shopper, session=chosen.get("session")):
            if isinstance(event, Said):
                yield event.text
