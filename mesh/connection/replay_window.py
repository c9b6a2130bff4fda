"""Which connection numbers of one ingress instance have been used: a sliding window.

Source: RFC 6479, the window of IPsec without bit shifting: a ring of blocks, in which moving on clears whole
blocks. One block more than the window needs makes room for that.
"""

from typing import Final

DEFAULT_SIZE: Final = 1024
"""Numbers below the highest one that can still be told apart: OPENs that overtake each other on their way."""

_BLOCK_BITS: Final = 64
_FULL_BLOCK: Final = 2**_BLOCK_BITS - 1


class ReplayWindow:
    """Remembers numbers; those too far below the highest one count as used.

    Args:
        size: how far below, a multiple of 64.
        used_up_to: counts as used with all numbers below it; -1 if none is.

    Raises:
        ValueError: the size is not a positive multiple of 64.
    """

    __slots__ = ("_blocks", "_highest", "_size")

    def __init__(self, size: int = DEFAULT_SIZE, *, used_up_to: int = -1) -> None:
        if size <= 0 or size % _BLOCK_BITS:
            raise ValueError(f"expected a window of a multiple of {_BLOCK_BITS} numbers, found {size}")
        self._size = size
        self._blocks = [0] * (size // _BLOCK_BITS + 1)
        self._highest = used_up_to
        if used_up_to >= 0:
            self._blocks = [_FULL_BLOCK] * len(self._blocks)
            block, bit = divmod(used_up_to, _BLOCK_BITS)
            self._blocks[block % len(self._blocks)] = (2 << bit) - 1

    @property
    def highest(self) -> int:
        """The highest number that has been used; -1 before the first."""
        return self._highest

    def fresh(self, number: int) -> bool:
        """Whether ``number`` may be used: not used before, and not below the window. Changes nothing."""
        if number > self._highest:
            return True
        if number <= self._highest - self._size:
            return False
        block, bit = divmod(number, _BLOCK_BITS)
        return not self._blocks[block % len(self._blocks)] >> bit & 1

    def mark(self, number: int) -> None:
        """Count ``number`` as used, once what brought it has authenticated.

        One below the window counts as used anyway.
        """
        if number <= self._highest - self._size:
            return
        block, bit = divmod(number, _BLOCK_BITS)
        if number > self._highest:
            self._clear_up_to(block)
            self._highest = number
        self._blocks[block % len(self._blocks)] |= 1 << bit

    def _clear_up_to(self, block: int) -> None:
        """Clear the blocks between that of the highest number and ``block``, included."""
        newest = self._highest // _BLOCK_BITS
        for passed in range(max(newest, block - len(self._blocks)) + 1, block + 1):
            self._blocks[passed % len(self._blocks)] = 0
