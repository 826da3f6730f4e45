"""The numbers of one stream and what stands under each."""

from __future__ import annotations

from array import array


class Numbers:
    """number → leaf, as eight bytes of hash; dense from 1, whatever a liar counts."""

    def __init__(self) -> None:
        self._dense = array("Q")
        self._sparse: dict[int, int] = {}

    def get(self, n: int) -> int:
        return self._dense[n - 1] if 0 < n <= len(self._dense) else self._sparse.get(n, 0)

    def put(self, n: int, leaf: int) -> None:
        dense = self._dense
        if 0 < n <= len(dense):
            dense[n - 1] = leaf
        elif len(dense) < n <= len(dense) + 4096:
            dense.extend([0] * (n - len(dense) - 1))
            dense.append(leaf)
        else:
            self._sparse[n] = leaf

    def forget_beyond(self, n: int) -> None:
        del self._dense[n:]
        self._sparse = {at: leaf for at, leaf in self._sparse.items() if at <= n}
