"""Whether an endpoint is well, by the checks that are made of it: a few in a row have to agree before that changes."""

from gateway.config.model import Health as Options


class Health:
    """The results of one endpoint's checks.

    well        until a check says otherwise
    checks      how many have been made
    last_ok     whether the last one was good; None before the first
    last_at     when it was over, in seconds since the epoch; None before the first
    last_detail what was found, for the operator
    """

    __slots__ = ("_healthy", "_row", "_unhealthy", "checks", "last_at", "last_detail", "last_ok", "well")

    def __init__(self, options: Options) -> None:
        self._healthy = options.healthy
        self._unhealthy = options.unhealthy
        self._row = 0  # results in a row that speak against `well`
        self.well = True
        self.checks = 0
        self.last_ok: bool | None = None
        self.last_at: float | None = None
        self.last_detail = ""

    def take(self, ok: bool, detail: str, at: float) -> bool:
        """Takes the result of a check; True where the endpoint changes sides by it. The first one counts alone."""
        first = self.checks == 0
        self.checks += 1
        self.last_ok = ok
        self.last_at = at
        self.last_detail = detail
        if ok == self.well:
            self._row = 0
            return False
        self._row += 1
        if not first and self._row < (self._healthy if ok else self._unhealthy):
            return False
        self.well = ok
        self._row = 0
        return True
