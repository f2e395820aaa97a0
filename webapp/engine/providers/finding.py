"""Finds things in a text by rules: sentences that matter, amounts, dates, mail addresses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from webapp.engine.dates import read_date
from webapp.engine.readings import comparable, read_number

EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63}){1,5}")
LINK = re.compile(r"https?://[^\s<>\"')]{1,500}")
NUMBER = re.compile(r"(?<![\w.,:-])[-+]?\d[\d.,'\u00a0]{0,30}(?![\w-])")
DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2} [A-Z][a-z]{2,8} \d{4}", re.ASCII
)
DATE_FORMATS = ("YYYY-MM-DD", "D.M.YYYY", "D MMMM YYYY")
SUM = re.compile(r"\({0,5}\d[\d.]{0,30}(?:\s{0,5}[-+*/]\s{0,5}\({0,5}\d[\d.]{0,30}\){0,5}){1,50}")
COMMON_WORDS = (
    "a about after all also an and any are as at be been before but by can could did do does for "
    "from had has have he her his how i if in into is it its just me more my no not of on one or "
    "our out she so some than that the their them then there these they this to up us very was we "
    "were what when which who will with would you your"
)
COMMON = frozenset(COMMON_WORDS.split())
LIKE_WORDS = {
    "urgent": "asap immediately today now deadline emergency outage down critical quickly",
    "high": "urgent asap critical important",
    "low": "whenever eventually minor someday",
    "spam": "winner prize lottery viagra casino unsubscribe free click offer",
    "complaint": "angry unhappy disappointed broken refund terrible worst wrong",
    "positive": "great thanks thank happy love excellent good perfect",
    "negative": "bad angry unhappy terrible worst broken disappointed hate",
    "invoice": "amount due payment pay bill billing total",
    "question": "how what why when where who",
}


def sentences(text: str) -> list[str]:
    parts = re.split(r"(?<=[.!?])\s+|\n{2,}|\n(?=[-*•])", text.strip())
    return [" ".join(part.split()) for part in parts if part.strip()]


def words(text: str) -> list[str]:
    found = re.findall(r"[\w'-]{2,}", comparable(text))
    return [word for word in found if word not in COMMON]


def summary(text: str, most: int = 3) -> str:
    """Return the sentences whose words come up most often, in the order of the text."""
    all_sentences = sentences(text)[:500]
    weight = Counter(words(text))

    def score(sentence: str) -> float:
        known = words(sentence)
        return sum(weight[word] for word in known) / (len(known) + 3)

    best = sorted(range(len(all_sentences)), key=lambda n: -score(all_sentences[n]))[:most]
    return " ".join(all_sentences[n] for n in sorted(best))


def choose(text: str, options: Sequence[str]) -> str | None:
    """Return the option whose words, or words like them, the text has most of."""
    have = Counter(words(text))

    def score(option: str) -> int:
        own = words(option) or [comparable(option)]
        like = [word for key in own for word in LIKE_WORDS.get(key, "").split()]
        return sum(3 * have[word] for word in own) + sum(have[word] for word in like)

    scores = [score(option) for option in options]
    return options[scores.index(max(scores))] if scores and max(scores) > 0 else None


def after_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the rest of the line behind "Label:", as in forms and mails."""
    for label in labels:
        plain = re.escape(label.replace("_", " ").strip()).replace(r"\ ", r"[\s_]+")
        if plain:
            found = re.search(rf"(?im)\b{plain}\s*[:=]\s*(\S.{{0,500}})$", text)
            if found:
                return found.group(1).strip()
    return None


def numbers(text: str) -> Iterator[Decimal]:
    """Yield the numbers of a text; the days in dates are none."""
    for found in NUMBER.finditer(DATE.sub(" ", text)):
        written = found.group().rstrip(".,'")
        comma_last = written.rfind(",") > written.rfind(".")
        marks = (",", ".") if comma_last and not re.search(r",\d{3}$", written) else (".", ",")
        for mark in marks:
            number = read_number(written, mark)
            if number is not None:
                yield number
                break


def dates(text: str) -> Iterator[str]:
    for found in DATE.finditer(text):
        day = read_date(found.group(), DATE_FORMATS)
        if day:
            yield day


def options_in(text: str) -> list[str]:
    """Return the choices of "... one of: urgent, normal or spam."."""
    found = re.search(r"(?i)\b(?:one of|either|as|into|options?|categories)\s*:?\s+([^.\n]+)", text)
    if not found:
        return []
    parts = re.split(r"\s*(?:,|;|/|\bor\b|\band\b)\s*", found.group(1))
    options = [part.strip(" '\"“”()") for part in parts]
    return [option for option in options if option] if len(options) > 1 else []
