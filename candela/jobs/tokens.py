"""Tokens of workers, which report on their job or ask for one, and of a map server."""

import hashlib
import hmac

NO_ATTEMPT = 0  # the token of a pod that waits for a job is that of no attempt


def token_for(key: bytes, job_id: str, attempt: int) -> str:
    """Return the token of one attempt at a job."""
    return hmac.new(key, f"{job_id}:{attempt}".encode(), hashlib.sha256).hexdigest()


def is_valid(key: bytes, job_id: str, attempt: int, token: str) -> bool:
    """Tell whether a token belongs to this attempt."""
    # NOTE: bytes, since texts beyond ASCII cannot be compared, and a header may have any.
    told = token.encode(errors="replace")
    return hmac.compare_digest(token_for(key, job_id, attempt).encode(), told)


def map_server_token(key: bytes) -> str:
    """Return the token by which a map server reads outputs, of whichever owner."""
    return hmac.new(key, b"map server", hashlib.sha256).hexdigest()
