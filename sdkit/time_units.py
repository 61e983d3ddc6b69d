"""The model's own unit of time, in words: what a page, a figure and a message call it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ModelError, RunError
from .model import Model
from .structure import dimension

# How units of time are written, by the word that a page has for them.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "year": ("year", "years", "yr", "yrs", "annum"),
    "quarter": ("quarter", "quarters", "qtr", "qtrs"),
    "month": ("month", "months", "mon", "mth", "mths"),
    "week": ("week", "weeks", "wk", "wks"),
    "day": ("day", "days"),
    "hour": ("hour", "hours", "hr", "hrs"),
    "minute": ("minute", "minutes", "min", "mins"),
    "second": ("second", "seconds", "sec", "secs"),
}
_WORDS = {text: word for word, texts in _SPELLINGS.items() for text in texts}
_ADVERBS = {
    "annual": "year", "annually": "year", "yearly": "year", "quarterly": "quarter",
    "monthly": "month", "weekly": "week", "daily": "day", "hourly": "hour",
}  # fmt: skip
_RATE = r"\s*(?:\b(?:per|each|every|an?)\s+|/\s*)({})\b\.?"
_PURE = ("", "dmnl", "dimensionless", "1", "unitless", "nodimension")
# Reductions of observed series that know a calendar, which counts in years.
CALENDAR = ("year", "fiscal year", "month")


@dataclass(frozen=True)
class TimeUnit:
    """The unit in which a model counts time: its singular, in lower case; "" where it has none."""

    one: str

    @property
    def many(self) -> str:
        """ "years"; "units of time" where the model names none."""
        if not self.one:
            return "units of time"
        return self.one + "s" if self.one.isascii() and not self.one.endswith("s") else self.one

    @property
    def word(self) -> str:
        """ "year"; "unit of time" where the model names none."""
        return self.one or "unit of time"

    @property
    def axis(self) -> str:
        """The label of a time axis."""
        return self.one.capitalize() or "Time"

    def dated(self, first: float) -> bool:
        """Whether bare numbers read as years of the calendar."""
        return self.one == "year" and first >= 1000

    def at(self, when: float) -> str:
        """ "2030", "day 30", "time 30"."""
        return f"{when:g}" if self.dated(when) else f"{self.one or 'time'} {when:g}"

    def span(self, first: float, last: float) -> str:
        """ "2026–2040", "days 30–60", "time 30–60"; one unit as `at` has it."""
        if first == last:
            return self.at(first)
        text = f"{first:g}–{last:g}"
        return text if self.dated(first) else f"{self.many if self.one else 'time'} {text}"

    def period(self, label: str) -> str:
        """A label of a period, "2030" or "2026-2040", in words."""
        first, _, last = label.partition("-")
        return self.span(float(first), float(last or first))

    def count(self, number: float) -> str:
        """ "1 year", "14 days"."""
        return f"{number:g} {self.word if number == 1 else self.many}"

    def rate(self, unit: str) -> str:
        """A unit of an amount, in one unit of time: "deaths per year"."""
        return f"{plain(unit)} per {self.word}".strip()


YEAR = TimeUnit("year")


def time_unit(model: Model) -> TimeUnit:
    """What the model's time settings are counted in: the first of them that has a unit."""
    for name in ("TIME STEP", "FINAL TIME", "INITIAL TIME", "SAVEPER"):
        try:
            text = plain(model.find(name).unit)
        except ModelError:
            continue
        if text:
            return TimeUnit(_WORDS.get(text.lower(), text.lower()))
    return TimeUnit("")


def plain(unit: str) -> str:
    """A unit for a reader: nothing where it says that there is none."""
    return "" if unit.strip().lower() in _PURE else unit.strip()


def without_rate(name: str) -> str:
    """A name without its "per year", in brackets or not: what a sum over a period counts."""
    words, adverbs = "|".join(_WORDS), "|".join(_ADVERBS)
    text = re.sub(_RATE.format(words) + r"\s*(?=[\])}]|$)", "", name, flags=re.I)
    text = re.sub(rf"^({adverbs})\s+|,?\s+({adverbs})$", "", text, flags=re.I)
    text = re.sub(rf"(?<=[\[({{])\s*({adverbs})\s*(?=[\])}}])", "", text, flags=re.I)
    if text != name:  # brackets that held the rate alone
        text = re.sub(r"\s*[\[({]\s*1?\s*[\])}]", "", text)
    return text.strip() or name


def named_rate(name: str) -> str:
    """The unit of time of which a name says "per year", "a day" or "monthly"; "" for none."""
    found = re.search(_RATE.format("|".join(_WORDS)) + r"(?!\s+\w)", name, re.I)
    if found:
        return _WORDS[found[1].lower()]
    found = re.search(rf"\b({'|'.join(_ADVERBS)})\b", name, re.I)
    return _ADVERBS[found[1].lower()] if found else ""


def parsed(unit: str) -> Mapping[str, float] | None:
    """The dimension of a unit, words for "per" read as a line of division; None if unreadable."""
    text = re.sub(_RATE.format("|".join(_WORDS)), r"/\1", unit, flags=re.I)
    text = re.sub(r"\s+per\s+", "/", text.strip(), flags=re.I)
    text = f"1{text}" if text.startswith("/") else text
    found = dimension(text) if text else None
    if found is None:
        return None
    result: dict[str, float] = {}
    for base, power in found.items():
        word = _WORDS.get(base, {"person": "people", "persons": "people"}.get(base, base))
        word = word if word in _SPELLINGS or not word.endswith("s") else word[:-1]
        result[word] = result.get(word, 0.0) + float(power)
    return {base: power for base, power in result.items() if power}


def rates(unit: Mapping[str, float]) -> set[str]:
    """The units of time by which a dimension divides."""
    return {base for base, power in unit.items() if base in _SPELLINGS and power < 0}


def refuse_calendar(model: Model, reduction: str, where: str) -> None:
    """Refuse a reduction by the calendar where a model does not count time in years (R431)."""
    unit = time_unit(model)
    if reduction in CALENDAR and unit.one not in ("", "year"):
        raise RunError(
            "R431",
            f"{where}: reduction = {reduction!r} counts time in years, {model.path.name} in "
            f"{unit.many}",
        )
