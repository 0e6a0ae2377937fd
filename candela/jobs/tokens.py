"""Tokens with which a worker proves that it speaks for its job, or asks for one."""

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
