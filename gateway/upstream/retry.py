"""Whether a request is sent again after an attempt that failed, and when (RFC 9110 section 9.2.2).

What may have been acted on is repeated only where that changes nothing: the method is idempotent, or the request carries
an Idempotency-Key and the operator trusts the upstream with it. Where nothing was sent, any request may go again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.config.traffic import Retries
from gateway.upstream.budget import Budget
from gateway.wheel import FAR

if TYPE_CHECKING:
    from gateway.upstream.pool import Endpoint

IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))

STATUS_RETRIED: Final = "upstream_status_retried"
"""Why an attempt is none that counts, whose answer was one of the listed statuses."""


class Retry:
    """The rules of one upstream, its budget, and what became of its failures.

    per_try        seconds from the beginning of an attempt to the head of its answer; None for no such limit
    buffer         bytes of a request body to keep
    keyed          whether an Idempotency-Key makes up for the method
    made           retries
    over_budget    failures that were not retried because of the budget
    """

    __slots__ = (
        "_attempts",
        "_backoff_base",
        "_backoff_max",
        "_on",
        "_random",
        "budget",
        "buffer",
        "keyed",
        "made",
        "over_budget",
        "per_try",
        "statuses",
    )

    def __init__(self, options: Retries, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to below 1."""
        self._attempts = options.attempts
        self._on: frozenset[str] = frozenset(item for item in options.on if isinstance(item, str))
        self.statuses: frozenset[int] = frozenset(item for item in options.on if isinstance(item, int))
        self._backoff_base = options.backoff.base
        self._backoff_max = options.backoff.max
        self._random = random
        self.per_try = options.per_try_timeout
        self.buffer = options.buffer
        self.keyed = options.idempotency_key
        budget = options.budget
        self.budget = Budget(
            percent=budget.percent,
            min_concurrent=budget.min_concurrent,
            min_per_second=budget.min_per_second,
        )
        self.made = 0
        self.over_budget = 0

    def wants(
        self, kind: str, *, attempts: int, nothing_sent: bool, repeatable: bool, body_kept: bool
    ) -> bool:
        """Whether the rules let a request go again.

        kind          connect_failure, refused (which is also the first), reset, timeout, or status: one of `statuses`
        attempts      how many there have been
        nothing_sent  not a byte of the request has left in the attempt that failed
        repeatable    the method is idempotent, or there is a key that counts
        body_kept     all of the body that has been sent is there to be sent again
        """
        if attempts >= self._attempts or not body_kept:
            return False
        if kind == "refused":
            if "refused" not in self._on and "connect_failure" not in self._on:
                return False
        elif kind != "status" and kind not in self._on:
            return False
        return nothing_sent or repeatable

    def pause(self, number: int, retry_after: float | None, left: float) -> float | None:
        """Seconds to wait before retry `number` (1 is the first); None where they would be more than are `left`."""
        most = min(self._backoff_max, self._backoff_base * 2.0 ** (number - 1))
        wait = most * self._random()
        if retry_after is not None and retry_after > wait:
            wait = retry_after
        return wait if wait < left else None

    def take(self, now: float, *, retried: bool) -> bool:
        """Whether the budget has room for a retry, which is counted either way."""
        if self.budget.take(now, retried=retried):
            self.made += 1
            return True
        self.over_budget += 1
        return False


class Course:
    """One request on its way through its attempts: what has been tried, and what is kept to be sent again.

    tried      endpoints, one for each attempt
    kept       the pieces of the body that have been sent, as they were framed; None once they are too many
    try_until  when the attempt in progress has taken too long, or the next one will have; FAR for never
    settled    the answer is being passed on, or has been given up: nothing is sent again
    withheld   only the budget kept the attempt that failed last from being followed by a retry
    """

    __slots__ = (
        "_is_over",
        "_kept_size",
        "_repeatable",
        "_retried",
        "_retries",
        "_rules",
        "_until",
        "kept",
        "settled",
        "tried",
        "try_until",
        "withheld",
    )

    def __init__(self, rules: Retry, *, repeatable: bool, now: float, total: float) -> None:
        """The first attempt begins `now`, and there may be others for `total` seconds."""
        self._rules = rules
        self._repeatable = repeatable
        self._until = now + total
        self._retried = self._is_over = False
        self._retries = 0
        self._kept_size = 0
        self.tried: list[Endpoint] = []
        self.kept: list[bytes] | None = []
        self.settled = self.withheld = False
        self.try_until = FAR if rules.per_try is None else now + rules.per_try
        rules.budget.began(now)

    def keep(self, piece: bytes) -> None:
        """A piece of the body has been sent."""
        if self.kept is not None:
            self._kept_size += len(piece)
            if self._kept_size > self._rules.buffer:
                self.kept = None
            else:
                self.kept.append(piece)

    def sent(self, now: float) -> None:
        """The end of a body that came bit by bit has been sent: from now on it is the upstream that is waited for."""
        if self._rules.per_try is not None:
            self.try_until = now + self._rules.per_try

    def wants_other_than(self, status: int) -> bool:
        """Whether an answer with `status` may be given up for another."""
        return status in self._rules.statuses

    def again(
        self, kind: str, now: float, *, nothing_sent: bool, retry_after: float | None = None
    ) -> float | None:
        """Seconds until the next attempt after one that failed, by `Retry.wants`; None where there is none."""
        rules = self._rules
        self.withheld = False
        if self.settled or not rules.wants(
            kind,
            attempts=self._retries + 1,
            nothing_sent=nothing_sent,
            repeatable=self._repeatable,
            body_kept=self.kept is not None,
        ):
            return None
        wait = rules.pause(self._retries + 1, retry_after, self._until - now)
        if wait is None:
            return None
        if not rules.take(now, retried=self._retried):
            self.withheld = True
            return None
        self._retried = True
        self._retries += 1
        if rules.per_try is not None:
            self.try_until = now + wait + rules.per_try
        return wait

    def begins(self, now: float) -> None:
        """Another attempt begins that takes nothing of the budget, since nothing could be sent in the one before it."""
        self._retries += 1
        if self._rules.per_try is not None:
            self.try_until = now + self._rules.per_try

    def over(self) -> None:
        """The request is over, however it ended; a second call does nothing."""
        if not self._is_over:
            self.settled = self._is_over = True
            self._rules.budget.ended(retried=self._retried)
