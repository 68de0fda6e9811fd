"""Passwords: which are taken, and argon2 in threads, a few at a time."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import argon2

from api.http.errors import Problem

SHORTEST, LONGEST = 12, 200
#: What must be left of a password when the person's own names are taken out of it.
REST: Final = 8
#: A password of fewer different characters is one key held down.
DIFFERENT: Final = 5
#: What people write when they are asked for twelve characters.
_COMMON: Final = """
passwordpassword password1234 password12345 password123456 password123! password1234! passw0rd1234
passw0rd12345 passw0rd123456 p@ssw0rd1234 p@ssword1234 letmeinletmein letmein12345 welcome12345
welcome123456 welcome1234! qwertyuiop12 qwertyuiop123 qwertyuiopas qwertyuiopasdf qwertyqwerty
qwerty123456 qwerty1234567 qwertyuiop[] qwertyuiopå1 1qaz2wsx3edc 1qaz2wsx3edc4rfv 1q2w3e4r5t6y
q1w2e3r4t5y6 zaq12wsxcde3 asdfghjkl123 asdfghjklöä1 123456789012 1234567890123 12345678901234
123456789abc 123456789123 abcdefghijkl abcdefghijklm abcdefgh1234 abcd12345678 abc123abc123
iloveyou1234 iloveyouiloveyou administrator administrator1 admin1234567 adminadminadmin changeme1234
changemechangeme summer202412 sommar202412 winter202412 lösenordlösenord lösenord1234 lösenord12345
losenord1234 hemligthemligt hemligt12345 salasana1234 salasanasalasana football1234 monkey123456
dragon123456 sunshine1234 princess1234 superman1234 trustno1trustno1 correcthorsebatterystaple
"""
COMMON: Final = frozenset(_COMMON.split())
#: 19 MiB, two passes: what OWASP asks for; about 30 ms here, while calls go on.
HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
#: At a time, and waiting for their turn.
AT_ONCE, WAITING = 2, 64

_T = TypeVar("_T")


def normal(password: str) -> str:
    """The same password, however the keyboard composed it."""
    return unicodedata.normalize("NFKC", password)


def refusal(password: str, email: str, name: str) -> str:
    """Why this password is not taken; "" when it is."""
    folded = normal(password).casefold()
    if not SHORTEST <= len(normal(password)) <= LONGEST:
        return f"{SHORTEST} to {LONGEST} characters"
    if folded in COMMON or len(set(folded)) < DIFFERENT:
        return "this is one of the first that anybody would try"
    rest = folded
    words = {email, email.partition("@")[0], name, *name.split()}
    for word in sorted({normal(word).casefold() for word in words}, key=len, reverse=True):
        if len(word) >= 3:
            rest = rest.replace(word, "")
    own = rest != folded and len(rest) < REST
    return "too much of it is the own name or address" if own else ""


class Passwords:
    """await passwords.hashed(text); await passwords.right(hash or None, text)"""

    def __init__(self, hasher: argon2.PasswordHasher = HASHER) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(AT_ONCE, "argon2")
        self._under_way = 0
        # What the password of nobody is compared with: it takes as long as anybody's.
        self._nobody = hasher.hash("nobody's password")

    async def hashed(self, password: str) -> str:
        """What is kept of it. Problem 503."""
        return await self._run(lambda: self._hasher.hash(_bytes(password)))

    async def right(self, hashed: str | None, password: str) -> bool:
        """Whether that is the password; None: of nobody. Problem 503."""
        return await self._run(lambda: self._matches(hashed, password))

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, hashed: str | None, password: str) -> bool:
        try:
            self._hasher.verify(hashed or self._nobody, _bytes(password))
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
        return hashed is not None

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._under_way >= AT_ONCE + WAITING:
            raise Problem(503, "busy", "too many people sign in at this moment")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def _bytes(password: str) -> bytes:
    return normal(password).encode(errors="surrogatepass")
