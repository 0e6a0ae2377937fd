"""How an execute request is to be answered: the Prefer header (RFC 7240)."""

from typing import NamedTuple, Self

from werkzeug.datastructures import Headers
from werkzeug.http import parse_list_header


class ExecutionPreferences(NamedTuple):
    """Preferences of a client; what makes no sense is ignored, as RFC 7240 says.

    Attributes
    ----------
    is_async, is_sync : bool
        From ``respond-async`` and ``respond-sync``; without one the request is synchronous.
    wait_s : float, optional
        From ``wait=10``: how long the client waits before it takes an asynchronous answer.
    is_dry_run : bool
        From ``dry-run``, beyond the standard: check, and start nothing.
    """

    is_async: bool = False
    is_sync: bool = False
    wait_s: float | None = None
    is_dry_run: bool = False

    @classmethod
    def of(cls, headers: Headers) -> Self:
        """Read the headers of a request; where preferences exclude each other, the first counts."""
        found: dict[str, str] = {}
        for preference in parse_list_header(",".join(headers.getlist("Prefer"))):
            name, _, value = preference.partition(";")[0].partition("=")
            found.setdefault(name.strip().lower(), value.strip(' "'))
        modes = [name for name in found if name in {"respond-async", "respond-sync"}]
        return cls(
            is_async=modes[:1] == ["respond-async"],
            is_sync=modes[:1] == ["respond-sync"],
            wait_s=_seconds(found.get("wait", "")),
            is_dry_run="dry-run" in found,
        )

    @property
    def is_stated(self) -> bool:
        """Whether the client says how it wants the answer."""
        return self.is_async or self.is_sync or self.wait_s is not None

    def held_s(self, longest_s: float) -> float:
        """Return how long an answer may be held back for the job to end."""
        if self.wait_s is None:
            return 0.0 if self.is_async else longest_s
        return min(self.wait_s, longest_s)

    def applied(self, *, is_answered_async: bool) -> str:
        """Return the Preference-Applied header of an answer; empty where nothing was asked for."""
        if is_answered_async:
            return "respond-async" if self.is_async else ""
        if self.wait_s is not None:
            return f"wait={self.wait_s:g}"
        return "respond-sync" if self.is_sync else ""


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None
