"""shopbot: a customer-service chatbot and agent SDK for online shops.

    from shopbot import Shop, Shopper

    with Shop.open("sample_shop") as shop:
        bot = shop.bot()
        answer = await bot.reply("How long do refunds take?", shopper=Shopper())
        print(answer.text, answer.citations)

Names are loaded when they are first used, so that `import shopbot` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shopbot.bot import ShopBot
    from shopbot.errors import ModelError, ShopbotError, ShopError, UsageError
    from shopbot.shop import Shop
    from shopbot.tools import OrderId, ProductId, Refusal, shop_tool
    from shopbot.types import Citation, Event, Finished, Said, Shopper, ToolCall

__version__ = "0.1.0"
__all__ = [
    "Citation",
    "Event",
    "Finished",
    "ModelError",
    "OrderId",
    "ProductId",
    "Refusal",
    "Said",
    "Shop",
    "ShopBot",
    "ShopError",
    "ShopbotError",
    "Shopper",
    "ToolCall",
    "UsageError",
    "shop_tool",
]

_HOMES = {
    "bot": ("ShopBot",),
    "errors": ("ModelError", "ShopError", "ShopbotError", "UsageError"),
    "shop": ("Shop",),
    "tools": ("OrderId", "ProductId", "Refusal", "shop_tool"),
    "types": ("Citation", "Event", "Finished", "Said", "Shopper", "ToolCall"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'shopbot' has no attribute {name!r}")
    return getattr(import_module(f"shopbot.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
