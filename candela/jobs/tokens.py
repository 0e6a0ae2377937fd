"""Tokens with which a worker proves that it speaks for its job."""

import hashlib
import hmac


def token_for(key: bytes, job_id: str, attempt: int) -> str:
    """Return the token of one attempt at a job."""
    return hmac.new(key, f"{job_id}:{attempt}".encode(), hashlib.sha256).hexdigest()


def is_valid(key: bytes, job_id: str, attempt: int, token: str) -> bool:
    """Tell whether a token belongs to this attempt."""
    return hmac.compare_digest(token_for(key, job_id, attempt), token)
