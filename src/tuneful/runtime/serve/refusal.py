"""What a client is told when it cannot have what it asked for: a status and a finished sentence. No trace of a stack ever leaves."""

from __future__ import annotations

from tuneful.core.errors import TunefulError


class Refusal(Exception):  # noqa: N818
    """status: of HTTP; kind: a short word for the counters, such as "body" or "queue"; wait: seconds, for Retry-After."""

    def __init__(self, status: int, kind: str, sentence: str, hint: str = "", wait: int = 0) -> None:
        super().__init__(sentence)
        self.status, self.kind, self.sentence, self.hint, self.wait = status, kind, sentence, hint, wait

    def as_data(self, request: str) -> dict[str, str]:
        """The body of the answer. "error" is the word of the Open Inference Protocol."""
        return {"error": self.sentence, **({"hint": self.hint} if self.hint else {}), "id": request}


def of_error(error: TunefulError) -> Refusal:
    """What was wrong with the input, as an answer."""
    return Refusal(400, "input", error.message, error.hint)


FAILED = "the model failed on this input"
