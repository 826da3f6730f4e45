from __future__ import annotations

import pickle

from netsky.envelope.invalid import Invalid


def test_a_fault_survives_the_way_to_another_process() -> None:
    fault = pickle.loads(pickle.dumps(Invalid("text", "text must be there.", "missing")))
    assert (fault.field, fault.sentence, fault.code, str(fault)) == (
        "text", "text must be there.", "missing", "text must be there.",
    )  # fmt: skip
