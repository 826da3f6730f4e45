"""What is wrong with an envelope, said so that a person and a program can both act on it."""

from __future__ import annotations


class Invalid(ValueError):
    """The field, the rule that it breaks as a sentence, and a stable word for programs."""

    def __init__(self, field: str, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence
        self.code = code

    def __reduce__(self) -> tuple[type[Invalid], tuple[str, str, str]]:
        # Exceptions pickle by their one message otherwise, and this one has three arguments.
        return Invalid, (self.field, self.sentence, self.code)
