"""How long a backtracking engine may look for a regex: an upper bound of its steps for the longest name.

Python's engine tries one way after another, so what counts is how many ways there are to read the same text. That is
decided on the regex's position automaton (Glushkov): its states are the characters of the pattern, and one leads to
those that may follow. Two ways from a state back to itself by the same text mean that every round doubles the ways:
exponential, refused whatever the length. Two loops one after the other that can share a text divide it anywhere between
them: each such pair is one more power of the length. (Weber and Seidl, On the degree of ambiguity of finite automata,
1991.) Where this is not exact it errs towards more steps: `{2,5}` counts as a loop, and an assertion as nothing.
"""

from __future__ import annotations

import re
from math import comb, inf
from re import _constants as sre  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.patterns import EndlessError, PatternError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME_LENGTH: Final = 255
"""Characters: a longer name is matched by no regex. It could not be sent as it is."""
_ASCII: Final = 128
_OTHER: Final = 1 << _ASCII
"""One bit for each character of ASCII, and this one for all others."""
_EVERY: Final = (_OTHER << 1) - 1
_STATES_MOST: Final = 500
_UNBOUNDED: Final = inf


def _matching(category: str) -> int:
    pattern = re.compile(category, re.ASCII)
    return sum(1 << code for code in range(_ASCII) if pattern.match(chr(code)))


_CATEGORIES: Final = {
    sre.CATEGORY_DIGIT: _matching(r"\d"),
    sre.CATEGORY_SPACE: _matching(r"\s"),
    sre.CATEGORY_WORD: _matching(r"\w"),
    sre.CATEGORY_NOT_DIGIT: _matching(r"\D") | _OTHER,
    sre.CATEGORY_NOT_SPACE: _matching(r"\S") | _OTHER,
    sre.CATEGORY_NOT_WORD: _matching(r"\W") | _OTHER,
}


def steps(parsed: Any, *, ignores_case: bool) -> float:  # noqa: ANN401 - a parsed regex has no public type
    """Return at most how many steps a search in a name of NAME_LENGTH takes; infinity if they double again and again.

    Raises:
        PatternError: it has what no automaton has, as a back-reference.
        EndlessError: it is too long to be judged.
    """
    automaton = _Automaton(ignores_case=ignores_case)
    automaton.sequence(parsed)
    if automaton.is_doubling():
        return _UNBOUNDED
    degree = 1 + automaton.sharing_loops() + (0 if starts_once(parsed) else 1)
    return automaton.choices * comb(NAME_LENGTH + degree, degree)


def starts_once(parsed: Any) -> bool:  # noqa: ANN401 - see above
    """Say whether only the begin of a name has to be tried: the regex is held there, or begins with `.*`."""
    if not len(parsed):
        return False
    operator, argument = parsed[0]
    if operator is sre.AT:
        return argument in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING)
    if operator is sre.SUBPATTERN:
        return starts_once(argument[3])
    if operator is sre.BRANCH:
        return all(starts_once(branch) for branch in argument[1])
    is_repeat = operator in (sre.MAX_REPEAT, sre.MIN_REPEAT)
    if not is_repeat or argument[0] > 1 or argument[1] is not sre.MAXREPEAT:
        return False
    return len(argument[2]) == 1 and argument[2][0][0] is sre.ANY


class _Piece(NamedTuple):
    """A part of the regex: the states it may begin and end with, and whether it may be nothing at all."""

    first: frozenset[int]
    last: frozenset[int]
    is_empty: bool


_NOTHING: Final = _Piece(frozenset(), frozenset(), is_empty=True)


class _Automaton:
    """State: the characters of each state, who may follow whom, and the choices that no loop repeats."""

    def __init__(self, *, ignores_case: bool) -> None:
        self._ignores_case = ignores_case
        self._characters: list[int] = []
        self._next: list[set[int]] = []
        self._doubled: set[tuple[int, int]] = set()
        """Steps that can be made in two ways."""
        self._repeated: set[int] = set()
        """States inside of quantifiers: no other can come again."""
        self._unclear = 0
        """Pieces that can be nothing in two ways."""
        self._is_unclear_repeated = False
        self.choices = 1

    def __repr__(self) -> str:
        """Report the size."""
        return f"<_Automaton {len(self._next)} states>"

    # --- building -----------------------------------------------------------------------------------------------------

    def sequence(self, parsed: Any) -> _Piece:  # noqa: ANN401 - see above
        """Add what comes one after the other."""
        piece = _NOTHING
        for operator, argument in parsed:
            added = self._add(operator, argument)
            self._connect(piece.last, added.first)
            piece = _Piece(
                piece.first | added.first if piece.is_empty else piece.first,
                piece.last | added.last if added.is_empty else added.last,
                piece.is_empty and added.is_empty,
            )
        return piece

    def _add(self, operator: Any, argument: Any) -> _Piece:  # noqa: ANN401 - see above
        match operator:
            case sre.AT:
                return _NOTHING
            case sre.SUBPATTERN:
                return self.sequence(argument[3])
            case sre.BRANCH:
                return self._branch([self.sequence(branch) for branch in argument[1]])
            case sre.MAX_REPEAT | sre.MIN_REPEAT:
                return self._repeat(*argument)
        return self._state(self._set(operator, argument))

    def _state(self, characters: int) -> _Piece:
        number = len(self._next)
        if number >= _STATES_MOST:
            raise EndlessError(f"is too long to be judged: over {_STATES_MOST} characters", "write several rules")
        self._characters.append(characters)
        self._next.append(set())
        here = frozenset({number})
        return _Piece(here, here, is_empty=False)

    def _branch(self, branches: list[_Piece]) -> _Piece:
        self.choices *= max(_counts(branch.is_empty or self._texts(branch.first) for branch in branches))
        self._unclear += sum(branch.is_empty for branch in branches) > 1
        return _Piece(
            frozenset().union(*(branch.first for branch in branches)),
            frozenset().union(*(branch.last for branch in branches)),
            any(branch.is_empty for branch in branches),
        )

    def _repeat(self, least: int, most: Any, body: Any) -> _Piece:  # noqa: ANN401 - see above
        choices, unclear, begin = self.choices, self._unclear, len(self._next)
        piece = self.sequence(body)
        if most > 1:
            self._repeated.update(range(begin, len(self._next)))
            self._connect(piece.last, piece.first)
            self._is_unclear_repeated |= piece.is_empty or self._unclear > unclear
            self.choices = choices  # what is chosen in every round is found by the two ways that it makes
        else:
            self._unclear += piece.is_empty
            self.choices *= 2
        return piece._replace(is_empty=piece.is_empty or least == 0)

    def _connect(self, before: frozenset[int], after: frozenset[int]) -> None:
        for state in before:
            self._doubled.update((state, other) for other in after & self._next[state])
            self._next[state] |= after

    def _set(self, operator: Any, argument: Any) -> int:  # noqa: ANN401 - see above
        match operator:
            case sre.LITERAL:
                return self._range(argument, argument)
            case sre.NOT_LITERAL:
                return _EVERY & ~self._range(argument, argument) | _OTHER
            case sre.ANY:
                return _EVERY
            case sre.RANGE:
                return self._range(*argument)
            case sre.CATEGORY if argument in _CATEGORIES:
                return _CATEGORIES[argument]
            case sre.IN:
                return self._class(argument)
        message = f"{str(operator).lower().replace('_', ' ')} is not supported"
        raise PatternError(message, "no look-around, back-reference, condition or atomic group can be used")

    def _class(self, items: Any) -> int:  # noqa: ANN401 - see above
        is_negated = items[0][0] is sre.NEGATE
        found = 0
        for operator, argument in items[is_negated:]:
            found |= self._set(operator, argument)
        return _EVERY & ~found | _OTHER if is_negated else found

    def _range(self, low: int, high: int) -> int:
        found = _OTHER if high >= _ASCII else 0
        for code in range(low, min(high, _ASCII - 1) + 1):
            found |= 1 << code
            if self._ignores_case and chr(code).isalpha():
                found |= 1 << (code ^ 0x20)
        # K (Kelvin) and long s are letters of ASCII in another case.
        return found | _OTHER if self._ignores_case else found

    # --- judging ------------------------------------------------------------------------------------------------------

    def is_doubling(self) -> bool:
        """Say whether some loop can be gone round in two ways by the same text."""
        loops = self._loops()
        if self._is_unclear_repeated or any({one, other} <= loop for loop in loops for one, other in self._doubled):
            return True
        return any(self._has_two_ways(loop) for loop in loops)

    def _has_two_ways(self, loop: frozenset[int]) -> bool:
        """Look for two walkers in the loop who read the same, start together, part, and meet again."""
        onward: dict[tuple[int, int], set[tuple[int, int]]] = {}
        together = {(state, state) for state in loop}
        waiting = list(together)
        while waiting:
            pair = waiting.pop()
            if pair in onward:
                continue
            onward[pair] = {
                (one, other)
                for one in self._next[pair[0]] & loop
                for other in self._next[pair[1]] & loop
                if self._characters[one] & self._characters[other]
            }
            waiting.extend(onward[pair])
        backward: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for pair, others in onward.items():
            for other in others:
                backward.setdefault(other, []).append(pair)
        return any(one != other for one, other in _reachable(together, backward))

    def sharing_loops(self) -> int:
        """Return how often, on the way through the regex, a loop shares texts with a later one."""
        loops = self._loops()
        after = {one: [other for other in loops if self._leads(one, other, _EVERY)] for one in loops}
        known: dict[frozenset[int], int] = {}

        def shared(loop: frozenset[int]) -> int:
            if loop not in known:
                known[loop] = max((shared(other) + self._shares(loop, other) for other in after[loop]), default=0)
            return known[loop]

        return max(map(shared, loops), default=0)

    def _shares(self, loop: frozenset[int], later: frozenset[int]) -> bool:
        return self._leads(loop, later, self._texts(loop) & self._texts(later))

    def _leads(self, loop: frozenset[int], later: frozenset[int], characters: int) -> bool:
        """Say whether both loops can be gone round, and the way from one to the other gone, by these characters."""
        if loop == later:
            return False
        edges = {
            state: [other for other in following if self._characters[other] & characters]
            for state, following in enumerate(self._next)
        }
        before, after = ({s for s in states if s in _reachable(edges[s], edges)} for states in (loop, later))
        return not after.isdisjoint(_reachable(before, edges))

    def _texts(self, states: frozenset[int]) -> int:
        found = 0
        for state in states:
            found |= self._characters[state]
        return found

    def _loops(self) -> list[frozenset[int]]:
        """Return the sets of states that lead to one another, in no order."""
        edges = {state: self._next[state] & self._repeated for state in self._repeated}
        reach = {state: frozenset(_reachable(following, edges)) for state, following in edges.items()}
        return list({frozenset(o for o in reach[s] if s in reach[o]) for s in edges if s in reach[s]})


def _reachable(start: Any, edges: Any) -> set[Any]:  # noqa: ANN401 - of any kind of state
    found = set(start)
    waiting = list(found)
    while waiting:
        new = set(edges.get(waiting.pop(), ())) - found
        found |= new
        waiting.extend(new)
    return found


def _counts(sets: Iterable[int]) -> Iterator[int]:
    """Yield for each character in how many of the sets it is; True is a set of all."""
    known = [_EVERY if characters is True else characters for characters in sets]
    for code in range(_ASCII + 1):
        yield sum(characters >> code & 1 for characters in known)
