from __future__ import annotations

from netsky.node.db.sets import blobs


def test_few_texts_of_statements_serve_any_number() -> None:
    texts = {blobs([b"x"] * count)[0] for count in range(257)}
    assert len(texts) == 9
    for count in (0, 1, 2, 3, 200):
        places, values = blobs([b"x"] * count)
        assert places.count("?") == len(values) >= count
        assert values[:count] == [b"x"] * count
        assert set(values[count:]) <= {None}
