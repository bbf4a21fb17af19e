"""ID tokens as Firebase's own emulator makes them: well-formed, and signed by nobody."""

import base64
import json
import time

_LIFETIME_SECONDS = 3600  # as of the real ones


def unsigned_token(user: str, project: str, lifetime_seconds: int = _LIFETIME_SECONDS) -> str:
    """An ID token of `user` in `project`; a negative lifetime makes one that has expired."""
    now = int(time.time())
    claims = {
        "iss": f"https://securetoken.google.com/{project}",
        "aud": project,
        "sub": user,
        "user_id": user,
        "auth_time": now,
        "iat": now,
        "exp": now + lifetime_seconds,
        "firebase": {"identities": {}, "sign_in_provider": "custom"},
    }
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
