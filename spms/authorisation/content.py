"""What a message says: held against the operator's lists and the service's approved texts. Pure.

The text is looked at and forgotten; what stays is which entries it met, by their names, and the
template it follows. Words are looked for as people read them: full-width forms, case, spaces,
punctuation and invisible characters make no difference.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.catalogue.rules import PLACE, PLACE_MAX

_HOST: Final = re.compile(r"(?:[a-z0-9\u0080-\uffff-]{1,63}\.)+[a-z\u0080-\uffff0-9-]{1,63}")
_DOTS: Final = str.maketrans("。．｡", "...")
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
Entry = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ContentRules(msgspec.Struct, frozen=True, kw_only=True):
    """What no message may say (rulebook section `content`)."""

    forbidden_words: dict[Name, Entry] = msgspec.field(default_factory=dict)
    """By the name under which a denial shows the entry."""
    forbidden_hosts: dict[Name, Entry] = msgspec.field(default_factory=dict)
    """Hosts that no link may lead to, nor to anything below them; by name as well."""


class TemplateFact(msgspec.Struct, frozen=True, kw_only=True):
    """A text approved for a service."""

    id: UUID
    version: int
    wording: str


class ContentFact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was found in a message's text. Never the text."""

    given: bool = True
    """The SP said what it will send."""
    forbidden: tuple[str, ...] = ()
    """Names of the rulebook's entries that it meets."""
    bound: bool = False
    """The service may send approved texts only."""
    template_id: UUID | None = None
    """The approved text that it follows."""
    template_version: int | None = None


class Lists:
    """The rules in force, made ready for looking."""

    def __init__(self, rules: ContentRules) -> None:
        """Write every entry as texts are read."""
        self._names = {*rules.forbidden_words, *rules.forbidden_hosts}
        self._words = [(name, _bare(word)) for name, word in sorted(rules.forbidden_words.items())]
        self._hosts = [
            (name, _read(host).strip(".")) for name, host in sorted(rules.forbidden_hosts.items())
        ]

    def met(self, text: str) -> tuple[str, ...]:
        """Return the names of the entries that a text meets, each once."""
        found = []
        if self._words:
            bare = _bare(text)
            found += [name for name, word in self._words if word and word in bare]
        if self._hosts:
            hosts = {f".{host}" for host in _HOST.findall(_read(text).translate(_DOTS))}
            found += [
                name for name, host in self._hosts
                if host and any(one.endswith(f".{host}") for one in hosts)
            ]  # fmt: skip
        return tuple(dict.fromkeys(found))

    def known(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of some names that are names of entries."""
        return tuple(name for name in names if name in self._names)


def again(
    then: ContentFact | None, lists: Lists, templates: Sequence[TemplateFact], *, bound: bool
) -> ContentFact | None:
    """Find once more what was found in a text that nobody has kept.

    What it met and which approved text it followed is taken from the decision, as far as these
    were in force.
    """
    if then is None or not then.given:
        return look(None, lists, templates, bound=bound)
    follows = next((one for one in templates if bound and one.id == then.template_id), None)
    return ContentFact(
        forbidden=lists.known(then.forbidden), bound=bound,
        template_id=None if follows is None else follows.id,
        template_version=None if follows is None else follows.version,
    )  # fmt: skip


def look(
    text: str | None, lists: Lists, templates: Sequence[TemplateFact], *, bound: bool
) -> ContentFact | None:
    """Return what a decision rests on about a text; None: nothing was said, and need not be."""
    if text is None:
        return ContentFact(given=False, bound=True) if bound else None
    follows = next((one for one in templates if fits(one.wording, text)), None) if bound else None
    return ContentFact(
        forbidden=lists.met(text), bound=bound,
        template_id=None if follows is None else follows.id,
        template_version=None if follows is None else follows.version,
    )  # fmt: skip


def fits(wording: str, text: str) -> bool:
    """Whether a text is a template's wording with up to `PLACE_MAX` characters in each place.

    Steps through the wording's parts with all positions at which the text may have got to; the
    time it takes grows with the length of the text, whatever both of them say.
    """
    first, *parts = [unicodedata.normalize("NFKC", part) for part in wording.split(PLACE)]
    text = unicodedata.normalize("NFKC", text)
    if not text.startswith(first):
        return False
    ends = [len(first)]
    for part in parts:
        begins = [at for at in _found(part, text) if _within(ends, at)]
        ends = [at + len(part) for at in begins]
    return len(text) in ends


def _found(part: str, text: str) -> list[int]:
    if not part:  # a template that ends with a place
        return list(range(len(text) + 1))
    found, at = [], text.find(part)
    while at >= 0:
        found.append(at)
        at = text.find(part, at + 1)
    return found


def _within(ends: Sequence[int], at: int) -> bool:
    """Whether one of the sorted positions lies at most one place's length before `at`."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        if ends[middle] < at - PLACE_MAX:
            low = middle + 1
        else:
            high = middle
    return low < len(ends) and ends[low] <= at


def _read(text: str) -> str:
    """Write a text in one form: half-width, lower case, without what cannot be seen."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(one for one in folded if unicodedata.category(one) != "Cf")


def _bare(text: str) -> str:
    """Leave letters and digits only: a word is not hidden by what stands between its letters."""
    return "".join(one for one in _read(text) if one.isalnum())
