"""Questions about a shopper's own orders, as people word them: the answer holds the fact asked for, and is short.

Each goes through the whole bot over the sample shop. Facts stand here as its records hold them; none is made up, which
is checked against the raw records of the shopper who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shopbot import Shop
from shopbot.bot import ShopBot
from shopbot.compose import MOST_SENTENCES, MOST_WORDS
from shopbot.compose_orders import compose_order
from shopbot.grounding import Gate, facts_missing
from shopbot.phrases import Phrases
from shopbot.reads import order_view
from shopbot.store import Store
from shopbot.types import Finished, Shopper, ToolCall
from shopbot.understand import count_words

INGRID, CHLOE, ELIF = "ingrid_dahl_026", "chloe_lambert_011", "elif_kaya_040"
GARETH, ABIGAIL, PETER = "gareth_llewellyn_025", "abigail_norris_152", "peter_novak_110"
JIAWEI, JIE, MEI = "jiawei_fan_150", "jie_liu_017", "mei_chen_014"
ZHEN, KEXIN, HUIMIN = "zhen_dong_099", "kexin_ye_120", "huimin_yu_114"

# aspect → (who asks, the question, what its answer must hold)
QUESTIONS: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
    "address": [
        (ABIGAIL, "where's my duvet set headed?", ("Lapwing",)),
        (ABIGAIL, "What address have you got for the linen set I ordered on Wednesday?", ("Lapwing",)),
        (INGRID, "where r u sending the travel pillows to", ("Møllebakken 65",)),
        (INGRID, "Which town is my parcel off to?", ("Aarhus",)),
        (INGRID, "The kettles, what's their destination please", ("Møllebakken",)),
        (ELIF, "is my pillow being delivered to my flat or to work?", ("Lerchenfeldweg 64",)),
        (ELIF, "remind me which street the neck pillow goes to", ("Lerchenfeldweg",)),
        (GARETH, "Never saw those kids' rain jackets. Where on earth did you drop them off?", ("Larchwood",)),
        (PETER, "whats the adress on my last order", ("Skřivánčí 75",)),
        (CHLOE, "Where did my green earbuds get shipped to back then?", ("52 rue de la Verrerie Neuve",)),
        (MEI, "我的女款徒步背包寄到哪儿去了？", ("100 Copse End",)),
        (ZHEN, "昨天下的单收货地址写的哪里", ("137 Moorland View",)),
        (KEXIN, "三人帐篷那单发往哪个城市", ("Sligo",)),
        (JIAWEI, "耳塞是送到公司还是家里？地址给我看看", ("30 Bellfield Avenue",)),
        (HUIMIN, "我那个行李箱当时送到哪个地址的", ("Wilgenkade 8",)),
    ],
    "payment": [
        (INGRID, "how did I pay for the kettles", ("7329",)),
        (INGRID, "What card did you take the money from for the speaker?", ("7329",)),
        (INGRID, "Was the down sleeping bag on PayPal or my card?", ("PayPal",)),
        (CHLOE, "my plum trekking pack: how much came off the gift card and how much off my Mastercard", ("50.00", "86.60")),
        (PETER, "how was the skillet order split between gift card and card?", ("25.00", "112.95")),
        (ELIF, "which card got charged for the cook set", ("PayPal",)),
        (ELIF, "did the pillow i ordered go on my amex", ("3618",)),
        (GARETH, "How'd I pay for that canvas tent I called off?", ("PayPal",)),
        (ABIGAIL, "paid for my hiking shoes with what?", ("PayPal",)),
        (ABIGAIL, "which payment method did i use on the linen duvet set order", ("9769",)),
        (MEI, "我买的黑色背包用礼品卡付了多少，信用卡付了多少？", ("50.00", "69.00")),
        (JIE, "旅行袋那单是怎么付的钱", ("40.00", "278.95")),
        (ZHEN, "保温壶当时用什么付的款", ("PayPal",)),
        (HUIMIN, "雨靴那单刷的哪张卡", ("PayPal",)),
        (KEXIN, "马克杯那一单从哪张卡扣的", ("6568",)),
    ],
    "total": [
        (INGRID, "what did the pillows and kettles come to altogether", ("258.95",)),
        (INGRID, "how much did my last order set me back", ("258.95",)),
        (CHLOE, "total for the order with the Rapids expansion?", ("243.95",)),
        (ELIF, "What's the damage on the order with the earbuds?", ("251.95",)),
        (ELIF, "How much have I paid for the neck pillow incl. delivery", ("32.45",)),
        (GARETH, "how much in total were the three Squall Lite jackets I bought in July last year?", ("285.00",)),
        (ABIGAIL, "how much was I charged for my bedding", ("169.00",)),
        (PETER, "what did I spend on the cast iron pans and the liner", ("137.95",)),
        (PETER, "the silk liner order - what was the bill?", ("137.95",)),
        (INGRID, "how much did I fork out for the Eider", ("250.95",)),
        (ZHEN, "昨天那单一共多少钱", ("692.95",)),
        (KEXIN, "四人家庭帐篷那个订单总额是多少", ("326.95",)),
        (JIE, "我九月份那单总共花了多少", ("318.95",)),
        (HUIMIN, "降噪耳机那单付了多少钱", ("230.45",)),
        (MEI, "刚下的那单多少钱？", ("119.00",)),
    ],
    "price of one thing": [
        (PETER, "how much was the silk liner on its own", ("49.00",)),
        (CHLOE, "what did I pay for just the daypack?", ("79.00",)),
        (ELIF, "price of the headlamp I bought in September", ("54.00",)),
        (INGRID, "how much was each kettle", ("42.00",)),
        (GARETH, "what did a single kids' jacket cost me this week", ("42.00",)),
        (INGRID, "the cream headphones I sent back, how much had they been?", ("199.00",)),
        (ABIGAIL, "how much was the fitted sheet i got in may", ("24.00",)),
        (CHLOE, "What did the Packaway alone cost in that order?", ("19.50",)),
        (PETER, "how much did one skillet cost", ("38.00",)),
        (ELIF, "Ridgeback shoes I got from you - how much were they?", ("95.00",)),
        (ZHEN, "我买的羽绒被单价多少", ("189.00",)),
        (KEXIN, "冬靴当时多少钱买的", ("129.00",)),
        (JIE, "我订的旅行袋一个多少钱", ("59.00",)),
        (JIAWEI, "我的登机背包是多少钱买的", ("129.00",)),
        (HUIMIN, "收纳袋那套花了我多少", ("32.00",)),
    ],
    "fee and discount": [
        (INGRID, "how much was the postage on the kettles", ("12.95",)),
        (INGRID, "what did delivery cost me on the order with the speaker", ("11.95",)),
        (ELIF, "shipping fee for my pending order?", ("12.95",)),
        (CHLOE, "How much did the voucher knock off my Packaway order?", ("13.85",)),
        (INGRID, "what did I save with WELCOME10 on the duffel and headphones", ("32.80",)),
        (INGRID, "which code did I use on the wheeled duffel", ("WELCOME10",)),
        (GARETH, "was I charged for postage on the canvas tent?", ("6.95",)),
        (CHLOE, "p&p on the board game expansion order, how much was it", ("11.95",)),
        (PETER, "delivery charge on the order with the skillets pls", ("12.95",)),
        (GARETH, "did I pay any shipping on the kids' jackets that came yesterday?", ("LF-12148", "No delivery fee")),
        (MEI, "我用优惠码那单省了多少钱", ("23.80",)),
        (KEXIN, "三人帐篷那单运费多少", ("8.95",)),
        (JIAWEI, "耳塞的邮费是多少", ("3.95",)),
        (HUIMIN, "灰色旅行袋打折减了多少？", ("5.90",)),
        (ZHEN, "昨天那单的快递费多少钱", ("7.95",)),
    ],
    "refund": [
        (INGRID, "how much did I get back for the sleeping bag", ("250.95", "PayPal")),
        (INGRID, "where did the refund for the cancelled case go?", ("220.45", "7329")),
        (CHLOE, "Have I had my money back for the green earbuds?", ("49.00",)),
        (CHLOE, "what did you refund me for the plum pack, and onto what?", ("50.00", "86.60")),
        (ELIF, "the order I cancelled in October, was that refunded?", ("248.95",)),
        (GARETH, "how much was paid back on the canvas tent", ("803.95",)),
        (PETER, "did you reimburse me for the order I cancelled", ("99.95",)),
        (ABIGAIL, "has the hiking shoe order been refunded?", ("LF-10468", "No refund")),
        (INGRID, "what was credited to my card for the headphones and duffel", ("307.15",)),
        (CHLOE, "Got any money back on the cancelled headphones?", ("140.95",)),
        (JIE, "取消的亚麻被套退了多少钱给我", ("10.00", "150.95")),
        (JIE, "床头灯那单退款退到哪里了", ("40.00", "155.45")),
        (ZHEN, "拼图那单的钱退了吗", ("19.50",)),
        (MEI, "睡袋退货退给我多少", ("40.00", "56.00")),
        (HUIMIN, "取消的耳塞退款了没", ("60.95",)),
    ],
    "when": [
        (INGRID, "when are my kettles due", ("1 December 2026",)),
        (ABIGAIL, "what day will the duvet set land?", ("24 November 2026",)),
        (ELIF, "when did I order the pillow", ("18 November 2026",)),
        (GARETH, "What date did I call off the canvas tent?", ("10 June 2026",)),
        (GARETH, "when did the kids' jackets turn up", ("19 November 2026",)),
        (PETER, "When did the pans reach me?", ("13 October 2026",)),
        (CHLOE, "when did you post my black earbuds", ("7 July 2025",)),
        (INGRID, "On which day did the Eider come back to you as a return?", ("19 August 2026",)),
        (ELIF, "how long till my neck pillow gets here", ("30 November 2026",)),
        (ABIGAIL, "when were my hiking shoes bought", ("15 November 2025",)),
        (MEI, "背包哪天能到", ("2026年11月25日",)),
        (KEXIN, "马克杯什么时候送到？", ("2026年11月26日",)),
        (JIE, "亚麻被套我哪天取消的", ("2026年6月7日",)),
        (HUIMIN, "行李箱是几号收到的", ("2026年10月30日",)),
        (ZHEN, "羽绒被今天能到吗", ("2026年11月20日",)),
    ],
    "tracking": [
        (INGRID, "tracking no. for the kettles please", ("CP03363802949",)),
        (INGRID, "who's bringing my parcel?", ("Continental Parcel",)),
        (GARETH, "which courier had the kids jackets", ("Northway",)),
        (INGRID, "gimme the parcel number for the pillows", ("CP03363802949",)),
        (ABIGAIL, "Is there a tracking number for my duvet set yet?", ("LF-12199", "no tracking number")),
        (PETER, "how can I track the skillets I bought", ("CP77088461095",)),
        (ELIF, "What delivery firm carried my cook set?", ("Continental Parcel",)),
        (CHLOE, "consignment number of the Rapids expansion order", ("CP42325945255",)),
        (GARETH, "trackin for my last order plz", ("LF-12148", "Northway")),
        (INGRID, "Any tracking for the thing that's on its way?", ("CP03363802949",)),
        (MEI, "背包的快递单号给我一下", ("NW4054722099",)),
        (ZHEN, "被套是哪家快递送的", ("Swiftline",)),
        (HUIMIN, "雨靴的物流单号是多少", ("CP38213052783",)),
        (JIAWEI, "头灯走的什么快递", ("Northway",)),
        (JIE, "旅行袋的运单号", ("CP84332152014",)),
    ],
    "what is in it": [
        (INGRID, "what's in the parcel that's on its way", ("Whistler", "Rest Travel Pillow")),
        (INGRID, "what colour kettles did I go for", ("signal red",)),
        (ELIF, "which size shoes did I get in September", ("UK 6",)),
        (GARETH, "how many kids' jackets did I order this week?", ("2 ×",)),
        (GARETH, "what size were the rain jackets for the kids that arrived yesterday", ("110",)),
        (PETER, "what was in the order I cancelled?", ("Finch", "Nightjar")),
        (CHLOE, "Which colour earbuds did I send back?", ("moss green",)),
        (ABIGAIL, "my linen duvet set - is it a double or a king I ordered", ("king",)),
        (INGRID, "how many pillows are coming", ("4 ×",)),
        (CHLOE, "What did I buy in March?", ("Rapids", "Tarn 38", "Tarn 28")),
        (ZHEN, "昨天我都买了什么", ("Summit", "Drowsy")),
        (JIAWEI, "我申请换的防风衣要换成什么尺码", ("L",)),
        (KEXIN, "冬靴换成几码？", ("UK 7",)),
        (HUIMIN, "我申请退货的是哪些东西", ("Gangway 100", "Stow")),
        (JIE, "我买了几个旅行袋", ("2 ×",)),
    ],
    "which order": [
        (INGRID, "order number for the kettles?", ("LF-12375",)),
        (INGRID, "which of my orders did I cancel", ("LF-11397",)),
        (INGRID, "What's the number of the one that's on its way?", ("LF-12375",)),
        (CHLOE, "in which order was the green pair of earbuds", ("LF-11639",)),
        (ELIF, "whats the ref of my latest order", ("LF-12216",)),
        (ELIF, "What number is the order from September?", ("LF-11508",)),
        (GARETH, "order no. of the jackets that came yesterday", ("LF-12148",)),
        (GARETH, "the very first order I made with you, what number was that", ("LF-10107",)),
        (PETER, "Which order did I pull?", ("LF-10982",)),
        (ABIGAIL, "what's still not been sent out?", ("LF-12199",)),
        (JIAWEI, "哪个订单我申请了换货", ("LF-11824",)),
        (JIAWEI, "今天下的那单订单号是多少", ("LF-12543",)),
        (KEXIN, "还没发货的订单有哪些", ("LF-12170", "LF-12253")),
        (HUIMIN, "我取消过哪一单", ("LF-11072",)),
        (MEI, "在路上的是哪个订单", ("LF-12401",)),
    ],
    "status": [
        (INGRID, "any news on my kettles", ("shipped",)),
        (ABIGAIL, "has my linen set left yet?", ("processed",)),
        (ELIF, "whats going on w my pillow", ("pending",)),
        (ELIF, "did I cancel that wool duvet or not?", ("cancelled", "4 October 2026")),
        (GARETH, "was it ever delivered, the order with the two kids jackets", ("delivered",)),
        (INGRID, "has my return of the sleeping bag gone through", ("returned",)),
        (PETER, "did my frying pans arrive according to you?", ("delivered",)),
        (ABIGAIL, "Is the bedding on its way?", ("processed",)),
        (INGRID, "my order, how's it looking?", ("shipped",)),
        (CHLOE, "what happened with the order for the Lull 2 headphones?", ("LF-10276", "cancelled")),
        (MEI, "我的背包到哪一步了", ("已发货",)),
        (JIAWEI, "耳塞发货了没", ("待处理",)),
        (KEXIN, "羽绒被现在什么情况", ("已处理",)),
        (HUIMIN, "行李箱退货办得怎么样了", ("已申请退货",)),
        (ZHEN, "桌游寄出来了吗", ("已发货",)),
    ],
    "written after the patterns were": [
        (INGRID,"Been ages since I sent back that down bag, did the cash ever land?",("250.95",)),
        (INGRID,"remind us what I got in July",("Pebble","Eider")),
        (INGRID,"who've you given my parcel to for delivery",("Continental",)),
        (INGRID,"was it express or standard for the kettles",("LF-12375",)),
        (INGRID,"why was the large case cancelled again?",("ordered by mistake",)),
        (CHLOE,"the white sheet, double or king did I end up with?",("double",)),
        (CHLOE,"my black Lull Pro's, when did they come",("16 July 2025",)),
        (CHLOE,"how many copies of the otter expansion did I buy",("4 ×",)),
        (CHLOE,"what's the most recent thing I bought from you",("LF-11639",)),
        (CHLOE,"gift card or Mastercard for the headphones I cancelled?",("1206",)),
        (ELIF,"where abouts is my travel pillow atm",("pending",)),
        (ELIF,"can u tell me the total of my october order",("248.95",)),
        (ELIF,"which headlamp did I get, the 300 or the 500?",("Tern 500",)),
        (ELIF,"Have you dispatched my pillow?",("pending",)),
        (ELIF,"what have I got on order right now",("LF-12216",)),
        (GARETH,"the lad's raincoat: what size did I go for this time",("110",)),
        (GARETH,"how much was that tent + jackets order before it got cancelled",("803.95",)),
        (GARETH,"how many grey Squall Lites have I bought in one go",("3 ×",)),
        (GARETH,"I need an invoice address, where did the trekking pack go?",("Larchwood",)),
        (ABIGAIL,"expected arrival of bedding?",("24 November 2026",)),
        (ABIGAIL,"what did I shell out for the kids headphones",("24.00",)),
        (PETER,"what number's the liner and skillet order",("LF-11654",)),
        (PETER,"the summer bag and the Nightjar, which way round were the zips... left or right?",("left",)),
        (PETER,"did i use my voucher card on the pans",("25.00",)),
        (JIAWEI,"周末帐篷退货那单当时花了多少",("347.00",)),
        (JIAWEI,"耳塞大概几号能收到",("2026年11月26日",)),
        (JIAWEI,"我的快递是谁家送的，头灯那个",("Northway",)),
        (JIE,"我用礼品卡付过哪些单子，棉... 旅行袋那单用了多少",("40.00",)),
        (JIE,"上个月那单寄的哪里",("Am Mühlbach 4",)),
        (JIE,"灯串为什么取消的",("delivery takes too long",)),
        (MEI,"我9月份的订单用了什么优惠码",("WELCOME10",)),
        (MEI,"包到哪了呀",("已发货",)),
        (ZHEN,"手偶买的是哪种动物",("badger",)),
        (ZHEN,"给我查下羽绒被买了几床",("2 ×",)),
        (KEXIN,"小孩雨衣我退了吗现在啥状态",("已申请退货",)),
        (KEXIN,"最近那单什么时候能到",("2026年11月26日",)),
        (HUIMIN,"徒步鞋什么码来着",("UK 6",)),
        (HUIMIN,"耳机那单寄到荷兰哪里了",("Wilgenkade",)),
        (HUIMIN,"收纳袋退款到账没",("LF-11827",)),
],
    "told by what it is for, or in several parts": [
        (INGRID,"the things I got to boil water in - what did I spend on them in all?",("258.95","Whistler")),
        (ELIF,"The thing for my neck that I got: which colour is it, and what did it cost me, if you can still tell?",("ink blue","19.50")),
        (PETER,"I had two sorts of pans sent, what was each of them and what did the delivery on top cost?",("12.95","Skillet")),
],
}  # fmt: skip
ASKED = [(aspect, *row) for aspect, rows in QUESTIONS.items() for row in rows]

NOT_ABOUT_ORDERS: list[tuple[str, str]] = [
    (INGRID, "how much is the Whistler kettle?"),
    (INGRID, "do the kettles come in blue?"),
    (CHLOE, "can I send back earbuds once opened?"),
    (ELIF, "how long is the warranty on headphones"),
    (GARETH, "what sizes does the Puddle rain jacket come in"),
    (ABIGAIL, "how much is delivery to Scotland?"),
    (PETER, "is the cast iron skillet dishwasher safe?"),
    (PETER, "what happens if my parcel gets lost?"),
    (ZHEN, "羽绒被可以机洗吗"),
    (KEXIN, "三人帐篷多少钱"),
    (HUIMIN, "行李箱保修多久"),
    (MEI, "退货运费谁付"),
    (JIE, "旅行袋有什么颜色"),
    (INGRID, "how do refunds to a gift card work?"),
    (CHLOE, "which courier do you use for France?"),
    (ELIF, "what does express delivery cost"),
    (GARETH, "is the canvas tent waterproof"),
    (JIAWEI, "耳塞能退吗"),
    (INGRID, "do you ship to Denmark"),
    (ABIGAIL, "Is the linen duvet set available in white?"),
    (CHLOE, "how heavy is the Tarn 28?"),
    (PETER, "who pays for return postage?"),
    (ZHEN, "订单满多少包邮"),
    (HUIMIN, "哪些商品不能退"),
]
"""Asked by shoppers who have ordered the very thing: the catalog or a rule is meant all the same."""


@pytest.fixture(scope="module")
def bot(sample_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopBot]:
    with Store.open(tmp_path_factory.mktemp("orders") / "turns.db") as store:
        yield sample_shop.bot(store=store)


def ask(bot: ShopBot, shopper: str, question: str) -> Finished:
    return asyncio.run(bot.reply(question, shopper=Shopper(shopper)))


def is_short(text: str) -> bool:
    """At most 3 sentences or 80 words; the rows of lists do not count."""
    lines, gate = text.split("\n- "), Gate()
    count = len([*gate.feed(lines[0]), *gate.finish()])
    return len(lines) > 1 or count <= MOST_SENTENCES or count_words(text) <= MOST_WORDS


@pytest.mark.parametrize(("aspect", "shopper", "question", "facts"), ASKED)
def test_the_answer_holds_the_fact_asked_for(
    bot: ShopBot, aspect: str, shopper: str, question: str, facts: tuple[str, ...]
) -> None:
    finished = ask(bot, shopper, question)
    assert [fact for fact in facts if fact not in finished.text] == [], finished.text
    assert is_short(finished.text), finished.text
    sources = [question, *(f"{cite.title} {cite.text} {cite.source}" for cite in finished.citations)]
    assert facts_missing(finished.text, sources) == []


@pytest.mark.parametrize(("shopper", "question"), NOT_ABOUT_ORDERS)
def test_a_rule_or_a_product_is_asked_about_all_the_same(bot: ShopBot, shopper: str, question: str) -> None:
    finished = ask(bot, shopper, question)
    assert "LF-" not in finished.text, finished.text
    assert not [cite for cite in finished.citations if cite.source.startswith("order:")]


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("which address does it go to?", "Our records of this order hold no address."),
        ("what is the tracking number?", "Our records of this order hold no tracking number."),
        ("tell me about it", "delivered"),
    ],
)
def test_what_the_record_lacks_is_said_to_be_missing(sample_shop: Shop, question: str, told: str) -> None:
    delivered = next(
        order for order in map(sample_shop.data.order, sample_shop.data.orders) if order and order.delivered_on
    )
    bare = replace(delivered, address={}, tracking=())
    call = ToolCall("get_order", {}, "done", {"order": order_view(bare, None, sample_shop.data)})
    draft = compose_order(call, question, Phrases("en", "Larkfield", "GBP"))
    assert told in draft.text
    assert "address is ." not in draft.text


@pytest.mark.parametrize("question", ["when did the Roman empire fall?", "how tall is Everest", "谁是美国总统"])
def test_a_few_words_about_something_else_are_not_about_the_order_just_talked_of(bot: ShopBot, question: str) -> None:
    session = f"off {question}"
    asyncio.run(bot.reply("Where is my order?", shopper=Shopper(MEI), session=session))
    answer = asyncio.run(bot.reply(question, shopper=Shopper(MEI), session=session))
    assert not answer.answered
    assert not answer.tool_calls
    followed = asyncio.run(bot.reply("what was in it?", shopper=Shopper(MEI), session=session))
    assert [call.name for call in followed.tool_calls] == ["get_order"]
