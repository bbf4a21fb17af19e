"""What ID tokens say, and such as Firebase's own emulator makes: well-formed, signed by nobody."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

LIFETIME_SECONDS = 3600  # as of the real ones

GOOGLE = "https://accounts.google.com"

Sign = Callable[[Mapping[str, object]], str]  # claims to token


def unsigned_token(user: str, project: str, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
    """An ID token of `user` in `project`; a negative lifetime makes one that has expired."""
    return unsigned(user_claims(user, project, lifetime_seconds))


def user_claims(user: str, project: str, lifetime_seconds: int) -> dict[str, object]:
    """What Firebase says of a user who has signed in just now."""
    now = int(time.time())
    return {
        "iss": f"https://securetoken.google.com/{project}",
        "aud": project,
        "sub": user,
        "user_id": user,
        "name": f"User {user}",
        "auth_time": now,
        "iat": now,
        "exp": now + lifetime_seconds,
        "firebase": {"identities": {}, "sign_in_provider": "custom"},
    }


def account_claims(email: str, audience: str, now: datetime) -> dict[str, object]:
    """What Google says of a service account to whom it names as `audience`."""
    return {
        "aud": audience,
        "azp": email,
        "email": email,
        "email_verified": True,
        "exp": int((now + timedelta(seconds=LIFETIME_SECONDS)).timestamp()),
        "iat": int(now.timestamp()),
        "iss": GOOGLE,
        "sub": email,
    }


def unsigned(claims: Mapping[str, object]) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
