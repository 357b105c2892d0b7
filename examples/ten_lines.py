"""The README's ten lines: open a shop, ask its bot, read the answer and its sources.

python examples/ten_lines.py
"""

import asyncio

from shopbot import Shop, Shopper

with Shop.open("sample_shop") as shop:
    bot = shop.bot()
    answer = asyncio.run(bot.reply("How long do refunds take?", shopper=Shopper()))
    print(answer.text, [cite.source for cite in answer.citations])
