"""A request while it arrives: what is too much is refused, and answered by the application."""

from typing import TYPE_CHECKING

from waitress.parser import HTTPRequestParser
from waitress.utilities import RequestEntityTooLarge

from candela.errors import PublicError, TooLargeError, UnavailableError

if TYPE_CHECKING:
    from candela.gateway.front.listener import Tuning

REFUSAL = "candela.refusal"  # in the WSGI environment: why the body is not there
MOST_CHUNK_WORDS = 64 * 1024  # bytes of the line before a chunk, or of the trailer
PORT = "candela.port"  # ... and which port was asked: public or internal


class Request(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """A request; ``refusal`` says why its body was not taken."""

    def __init__(self, adj: "Tuning") -> None:
        super().__init__(adj)
        self.refusal: PublicError | None = None
        self._budget = adj.limits.budget
        self._held = 0

    def received(self, data: bytes) -> int:
        """Take what arrived, return how much of it belongs to this request."""
        consumed = int(super().received(data))
        arrived = self.body_bytes_received - self._held
        if isinstance(self.error, RequestEntityTooLarge) or self._is_too_large():
            limit = self.adj.limits.body_bytes
            self._refuse(
                TooLargeError(f"the request is larger than the {limit} bytes that are allowed")
            )
        elif arrived > 0 and self.error is None:
            if self._budget.take(arrived):
                self._held += arrived
            else:
                self._refuse(UnavailableError("too many large requests at the same time"))
        return consumed

    def _is_too_large(self) -> bool:
        """Tell whether the body is, or (chunked) what describes it."""
        limit = self.adj.limits.body_bytes
        if not self.chunked or self.body_rcv is None:
            return bool(self.content_length > limit)
        words = len(self.body_rcv.control_line) + len(self.body_rcv.trailer)
        return bool(self.body_rcv.__len__() > limit or words > MOST_CHUNK_WORDS)

    def _refuse(self, reason: PublicError) -> None:
        """End the request here; its answer is the last one of the connection."""
        self.error = None
        self.refusal = reason
        self.completed = True
        self.expect_continue = False
        self.headers["CONNECTION"] = "close"
        self.close()

    def close(self) -> None:
        """Forget the body."""
        super().close()
        self.body_rcv = None
        held, self._held = self._held, 0
        self._budget.move(-held)
