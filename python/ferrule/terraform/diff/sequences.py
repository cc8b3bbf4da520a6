"""Which elements two sequences have in common, in order: a longest common subsequence, in bounded time.

Sequences that differ in few places are compared by Myers' algorithm ("An O(ND) Difference Algorithm", 1986), others by
that of Hunt and Szymanski (1977), with the rarest elements alone where the frequent ones would make too many pairs. The
result is the longest one but in that last case.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Final

__all__ = ["common_pairs"]

MAX_EDITS: Final = 200
MAX_PAIRS: Final = 200_000

Pair = tuple[int, int]


def common_pairs(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[Pair]:
    """Indexes of equal elements in both, rising in both."""
    head, tail = _common_ends(before, after)
    middle_before, middle_after = before[head : len(before) - tail], after[head : len(after) - tail]
    middle = _by_few_edits(middle_before, middle_after)
    if middle is None:
        middle = _by_pairs(middle_before, middle_after)
    return [
        *((at, at) for at in range(head)),
        *((i + head, j + head) for i, j in middle),
        *((len(before) - back, len(after) - back) for back in range(tail, 0, -1)),
    ]


def _common_ends(before: Sequence[Hashable], after: Sequence[Hashable]) -> Pair:
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head, tail


def _by_few_edits(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[Pair] | None:
    """Myers' algorithm; None from more than `MAX_EDITS` edits on."""
    # For each diagonal the furthest index in `before`, and the runs that lead there: (begin, length, runs before).
    furthest: dict[int, tuple[int, Any]] = {1: (0, None)}
    for edits in range(MAX_EDITS + 1):
        for diagonal in range(-edits, edits + 1, 2):
            down, right = furthest.get(diagonal + 1), furthest.get(diagonal - 1)
            if right is None or (down is not None and right[0] < down[0]):
                assert down is not None
                begin, runs = down
            else:
                begin, runs = right[0] + 1, right[1]
            at = begin
            while at < len(before) and at - diagonal < len(after) and before[at] == after[at - diagonal]:
                at += 1
            if at > begin:
                runs = (begin, begin - diagonal, at - begin, runs)
            if at >= len(before) and at - diagonal >= len(after):
                return _pairs_of(runs)
            furthest[diagonal] = at, runs
    return None


def _pairs_of(runs: Any) -> list[Pair]:
    pairs: list[Pair] = []
    while runs is not None:
        i, j, length, runs = runs
        pairs += ((i + at, j + at) for at in range(length - 1, -1, -1))
    return pairs[::-1]


def _by_pairs(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[Pair]:
    """Hunt and Szymanski's algorithm, on as many elements as `MAX_PAIRS` allows."""
    places: dict[Hashable, list[int]] = {element: [] for element in _rare_in_both(before, after)}
    for j, element in enumerate(after):
        if element in places:
            places[element].append(j)
    # For each length of a subsequence: where the one that ends first ends in `after`, and the pairs of it.
    ends: list[int] = []
    chains: list[Any] = []
    for i, element in enumerate(before):
        for j in reversed(places.get(element, ())):
            length = bisect_left(ends, j)
            found = (i, j, chains[length - 1] if length else None)
            if length == len(ends):
                ends.append(j)
                chains.append(found)
            else:
                ends[length], chains[length] = j, found
    pairs: list[Pair] = []
    chain: Any = chains[-1] if chains else None
    while chain is not None:
        i, j, chain = chain
        pairs.append((i, j))
    return pairs[::-1]


def _rare_in_both(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[Hashable]:
    in_before, in_after = Counter(before), Counter(after)
    rarest = sorted((in_before[each] * in_after[each], at) for at, each in enumerate(in_before) if each in in_after)
    elements = list(in_before)
    chosen: list[Hashable] = []
    pairs = 0
    for count, at in rarest:
        pairs += count
        if pairs > MAX_PAIRS:
            break
        chosen.append(elements[at])
    return chosen
