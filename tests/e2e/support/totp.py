"""An authenticator app (RFC 6238: SHA-1, six digits, 30 seconds), apart from the program's own."""

import base64
import hmac
import time


def code(secret, at=None):
    step = int((time.time() if at is None else at) // 30)
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    return f"{(int.from_bytes(digest[offset:offset + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"
