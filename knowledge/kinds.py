"""The kind of answer a question asks for, in English and Chinese: how long → a duration, how much → an amount.

A soft hint for the reader, nothing more: words of the two languages, none of any shop.
"""

from __future__ import annotations

import re

_UNITS = "second|minute|hour|day|week|month|year"
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_ONCE = "immediately|at once|straight away|立即|马上"

_KINDS = {
    "duration": (
        r"\bhow (long|soon|quick|quickly|fast|much time|old|many (business |working )?(days|hours|weeks|months|years|minutes))\b"
        r"|\b(until when|deadline|cut-?off)\b|多久|多长时间|几天|几个?小时|几年|几个月|多少天|什么时候|何时|有效期|期限",
        rf"(\d|\b(one|two|three|four|five|six|seven|ten|fourteen|thirty|sixty))[\d–-]*\s*(working |business |calendar )?({_UNITS})"
        rf"|\d\s*(个?工作日|天|小时|分钟|个?月|年|周)|{_ONCE}",
    ),
    "amount": (
        r"\bhow much\b(?! time)|\b(cost|costs|price|fees?|charges?|worth|expensive|pay for|minimum|maximum|biggest|amount|discount)\b"
        "|多少钱|费用|收费|价格|面额|满多少|免费|包邮|打几折|多少",
        r"[£$€¥]\s*\d|\d\s*(%|per cent|pounds|dollars|euros|元|英镑|美元)|\bfree\b|免费|免运费|不收费|\d折|\bno (fee|charge)",
    ),
    "time": (
        r"\b(when|what time|which day|what day|until)\b|什么时候|何时|几点|几号|哪天|最晚",
        rf"\d{{1,2}}[:.]\d\d|\b({_MONTHS})\b|\b(mon|tues|wednes|thurs|fri|satur|sun)day|\b(when|once|as soon as|after|before|within|days?)\b"
        rf"|\d\s*[月日点号]|周[一二三四五六日]|时|后|{_ONCE}",
    ),
    "count": (
        r"\bhow (many|often)\b|几次|几张|几件|多少[次张件]|几种",
        r"\b(\d+|once|twice|one|two|three|four|five|single)\b|\d\s*[次张件种]|一次|两次",
    ),
    "contact": (
        r"\b(phone|telephone|number to call|e-?mail address)\b|电话|热线|邮箱地址",
        r"\+?\d[\d ()-]{6,}\d|\S@\S",
    ),
}
"""Kind → what a question for it looks like, and what an answer of it holds."""

_YES_NO = (
    r"^\s*(can|could|may|do|does|is|are|will|am|should|must|would|did)\b|\b(can|could|may|is it possible|allowed|possible)\b"
    "|可以|能|吗|会不会|是否|允许",
    r"\b(can|cannot|can't|may|must|only|not|never|possible|unless|available|no)\b"
    "|可以|不能|不可|只有|只能|必须|无法|不予|没有|不会|不收|仅限|不",
)


class AnswerKind:
    """What `question` asks for; `fit` and `yes_no` say how well a sentence meets it."""

    def __init__(self, question: str) -> None:
        lowered = question.lower()
        self._answers = [answer for asked, answer in _COMPILED if asked(lowered)]
        self._yes_no = _YES_NO_COMPILED[1] if _YES_NO_COMPILED[0](lowered) else None

    def fit(self, sentence: str) -> float:
        """1 for each kind asked for that the sentence holds, −½ for each that it lacks; 0 where none is asked for."""
        lowered = sentence.lower()
        return sum(1.0 if answer(lowered) else -0.5 for answer in self._answers)

    def yes_no(self, sentence: str) -> float:
        """The same for a question that can be answered with yes or no."""
        return 0.0 if self._yes_no is None else 1.0 if self._yes_no(sentence.lower()) else -0.5


_COMPILED = [(re.compile(asked).search, re.compile(answer).search) for asked, answer in _KINDS.values()]
_YES_NO_COMPILED = (re.compile(_YES_NO[0]).search, re.compile(_YES_NO[1]).search)
