"""Names that are not there: which known ones were probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

# Difflib's ratio from which on a name counts as near; below it are mostly other words.
NEAR = 0.65
# How many names a message gives.
MEANT, LISTED = 3, 8
# Longer names are no slips of the pen, and comparing them takes long.
_LONGEST = 200
# Of more names difflib would compare for seconds (0.2 ms each): letters and words alone tell then.
_MANY = 3000


def _folded(name: str) -> str:
    """Letters and digits only: case, blanks, hyphens and underscores tell no names apart."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _words(name: str) -> str:
    """The same with the words in one order."""
    return "".join(sorted(re.findall(r"[^\W_]+", name.casefold())))


def nearest(name: str, known: Iterable[str], most: int = MEANT) -> list[str]:
    """The known names that are most like `name`, the likeliest first; none where none is near.

    Those that differ in case, blanks, hyphens, underscores or the order of words; else those near
    by difflib's ratio (Ratcliff and Obershelp) and little less so than the nearest, unless there
    are thousands of names; else those that `name` is a part of, or that are a part of it.
    """
    known = list(dict.fromkeys(known))
    if not name or len(name) > _LONGEST:
        return []
    own, words = _folded(name), _words(name)
    same = [o for o in known if _folded(o) == own] or [o for o in known if _words(o) == words]
    if same or not own:
        return same[:most]
    by_fold: dict[str, list[str]] = {}
    for other in known:
        by_fold.setdefault(_folded(other), []).append(other)
    few = len(by_fold) <= _MANY
    folds = difflib.get_close_matches(own, by_fold, most, NEAR) if few else []
    ratios = {fold: difflib.SequenceMatcher(None, fold, own).ratio() for fold in folds}
    best = max(ratios.values(), default=1.0)
    folds = [fold for fold in by_fold if ratios.get(fold, 0.0) > best - 0.1]
    folds.sort(key=lambda fold: -ratios[fold])  # those alike in the order of `known`
    if not folds and len(own) > 3:
        folds = [fold for fold in by_fold if own in fold or (len(fold) > 3 and fold in own)]
        folds.sort(key=lambda fold: abs(len(fold) - len(own)))
    return [other for fold in folds for other in by_fold[fold]][:most]


def meant(name: str, known: Iterable[str], listed: bool = True) -> str:
    """The end of a message that says that a name is not there: "; did you mean 'a' or 'b'?".

    Where nothing is near, what is known (with `listed`), a long list cut short; else "".
    """
    known = list(dict.fromkeys(known))
    found = nearest(name, known) if isinstance(name, str) else []
    if found:
        return f"; did you mean {_either([repr(other) for other in found])}?"
    return f"; known: {some(known)}" if listed else ""


def some(names: Iterable[str]) -> str:
    """Names with commas between, of many the first few and how many more there are."""
    names = list(names)
    if not names:
        return "none"
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED + 1 else ""
    return ", ".join(names[:LISTED] if rest else names) + rest


def _either(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def meant_path(path: Path, wanted: Callable[[Path], bool], folders: Iterable[Path]) -> str:
    """As `meant`, for a path that is not there: of what lies beside it or in `folders`, the
    `wanted` paths whose names are near, or all."""
    found: dict[str, Path] = {}
    for folder in (path.parent, *folders):
        try:
            inside = sorted(folder.iterdir())
            found |= {p.name: p for p in inside if p.name not in found and wanted(p)}
        except OSError:  # no folder, or one that may not be read
            continue
    stem = path.stem if path.suffix else path.name
    near = nearest(path.name, found) or nearest(stem, found)
    paths, here = [found[name] for name in near or found], Path.cwd()
    shown = [(p.relative_to(here) if p.is_relative_to(here) else p).as_posix() for p in paths]
    if near:
        return f"; did you mean {_either(shown)}?"
    return f"; there are {some(shown)}" if shown else ""
