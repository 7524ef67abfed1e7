"""Owns the sockets, and looks after the workers: starts them, starts them again, gives them configurations, ends them.

    read -> open what is listened at -> every worker prepares -> every worker commits, or none does anything

It carries no exchange itself, so that nothing that a client sends can end it.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import structlog

from gateway.admin.access import Access, load_access
from gateway.admin.health import filter_checks, upstream_checks
from gateway.admin.server import Admin
from gateway.admin.service import Reload, Revoked, described, planned
from gateway.admin.source import around
from gateway.api.bucket import Selection
from gateway.api.check import Check
from gateway.api.revocation import Revocation
from gateway.app import StartError
from gateway.buckets import Buckets, together
from gateway.config.load import Loaded
from gateway.config.model import Place
from gateway.config.problem import ConfigurationError
from gateway.ending import ignore_signals
from gateway.listener.opening import told
from gateway.listener.tls import Credentials, load_credentials
from gateway.metrics import Metrics, merged
from gateway.secret_hash import hash_key, of_key
from gateway.shared.measure import observe_usage
from gateway.shared.memory import SharedMemory
from gateway.supervisor import kin, message
from gateway.supervisor.child import ANSWER, CLEAN, Child, WorkerError, WorkerGone
from gateway.supervisor.kin import Family
from gateway.supervisor.notify import Notifier
from gateway.supervisor.places import Places, Spot
from gateway.supervisor.successor import Predecessor, Successor, inherited_memory
from gateway.supervisor.tally import Tally
from gateway.supervisor.upkeep import Upkeep
from gateway.task import spawn

PREPARE: Final = 30.0
"""Seconds that a worker may take to build a configuration."""
STEADY: Final = 1.0
"""Seconds that a worker has to carry exchanges to be started again at once when it ends."""
BACKOFF: Final = (0.1, 5.0)
"""Seconds until a worker that has not is started again: the least, doubled each time, and the most. Meanwhile the
connections that the kernel gives to its slot wait."""
LOOK: Final = 5.0
"""Seconds between two looks at each worker."""
PROMPT: Final = 0.5
"""Seconds that a worker has to say how upstreams stand when readiness is asked for, by probes that do not wait long."""
SCRAPE: Final = 5.0
"""Seconds that a worker has to tell its metrics: a scraper waits for ten."""
SOON: Final = 1.0
"""Seconds that workers have to hear that the service ends; one that hangs holds nobody up."""
LAST: Final = 5.0
"""Seconds beyond its time to drain that a worker has for its logs and traces; then it is killed."""
HUNG: Final = 30.0
"""Seconds after which a worker that does not answer is killed."""
OBEYED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that the service is told by; what each does is with `obey_signals`."""


class Supervisor:
    """The parent of all workers.

    load     reads the configuration, as it is now. Raises ConfigurationError
    memory   that the workers share; a new one by default
    count    of a configuration and the workers that run: how many there should be; warns of filters that count alone
    console  whether workers print a readable line for each record
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        load: Callable[[], Loaded],
        workers: int,
        places: Places,
        notifier: Notifier,
        predecessor: Predecessor,
        memory: SharedMemory | None = None,
        count: Callable[[Loaded, int], int] = lambda loaded, running: running,
        console: bool = False,
    ) -> None:
        self._count_for = count
        self._loaded = loaded
        self._load = load
        self._count = workers
        self._places = places
        self._memory = memory if memory is not None else SharedMemory.create()
        self._notifier = notifier
        self._console = console
        self._log = structlog.get_logger("gateway")
        self._children: dict[int, Child] = {}
        self._restarts = dict.fromkeys(range(workers), 0)
        self._first: dict[int, int] = {}  # by slot: numbers of the workers that begin when the service starts
        self._over: dict[int, tuple[int, ...]] = {}  # by slot: of workers whose end no other has told of
        self._changing = asyncio.Lock()  # of what is in force, in any worker
        self._committing = asyncio.Lock()  # held while workers commit: none of them is told to end then
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
        self._progress = asyncio.Event()
        self._failure: Exception | None = None
        self._started = False
        self._admin: Admin | None = None
        self._access: Access | None = None
        self._credentials: Sequence[Credentials | None] = ()  # of the listeners, for workers that start
        self._successor: Successor | None = None
        self._predecessor = predecessor
        self._life = predecessor.life
        self._failed: list[Family] = []  # successors that did not take over, whose workers may drain
        self._loaded_at = time.time()
        self._reloads = {"applied": 0, "rejected": 0}
        self._last_error: dict[str, Any] | None = None
        self._tally = Tally()
        self.metrics = Metrics()
        self._observe()

    # ---- life

    async def run(self) -> bool:
        """Until it is stopped and has drained; True when no exchange had to be cut off.

        Raises ConfigurationError or StartError, and then nothing is left.
        """
        try:
            await self._start()
        except BaseException:
            await self._end(0.0)
            raise
        if self._stopping.is_set():
            clean = await self._end(self._loaded.configuration.drain_timeout)
            self._log.info("stopped", pid=os.getpid(), clean=clean)
            return clean
        self._started = True
        self._tell_started()
        upkeep = Upkeep(lambda: self._loaded.configuration.log)
        tasks = [
            spawn(self._look_after(), name="looks"),
            spawn(self._watch(), name="watch"),
            spawn(self._renew(), name="certificates"),
            spawn(upkeep.keep(), name="upkeep"),
        ]
        if self._notifier.watchdog is not None:
            tasks.append(spawn(self._show_life(self._notifier.watchdog / 2), name="watchdog"))
        try:
            await self._stopping.wait()
            if not self._succeeded:
                self._notifier.stopping("draining")
            clean = await self._drain()
        finally:
            for task in tasks:
                task.cancel()
        self._log.info("stopped", pid=os.getpid(), clean=clean)
        return clean

    def stop(self) -> None:
        """Begins the drain; a second time cuts it short."""
        (self._hurry if self._stopping.is_set() else self._stopping).set()
        self._progress.set()  # of a start, which is not waited for

    async def _start(self) -> None:
        try:
            self._places.use(await self._places.opened(self._loaded))
            self._credentials = await asyncio.to_thread(load_credentials, self._loaded)
            access = load_access(self._loaded)
            admin = await self._places.open_admin(self._loaded)
            self._places.use_admin(admin)
            if not self._predecessor.waits:
                await self._move_admin(admin, access)
            self._places.refuse_rest()
            self._first = {slot: await asyncio.to_thread(self._memory.number) for slot in range(self._count)}
        except OSError as error:
            raise StartError(error.strerror or str(error)) from error
        self._keepers = [spawn(self._keep(slot), name=f"slot {slot}") for slot in range(self._count)]
        while not self._stopping.is_set() and self._failure is None and len(self._ready()) < self._count:
            self._progress.clear()
            await self._progress.wait()
        if self._failure is not None and not self._stopping.is_set():
            raise self._failure
        if self._predecessor.waits and not self._stopping.is_set():
            # Until now the predecessor answers alone: it has the workers of which there is something to be said, and who asks
            # this one would hear that it is not ready.
            await self._move_admin(admin, access)

    def _tell_started(self) -> None:
        listens = zip(self._places.spots, self._loaded.configuration.listen, strict=True)
        self._log.info(
            "started",
            listen=[told(spot.place, listen) for spot, listen in listens],
            admin=str(self.admin_place) if self.admin_place is not None else None,
            revision=self._loaded.revision[:12],
            workers=self._count,
        )
        self._notifier.ready(self._summary())
        self._places.own_files()
        self._predecessor.tell_ready()

    @property
    def _succeeded(self) -> bool:
        """Whether a successor has taken over: the service goes on without this process."""
        return self._successor is not None and self._successor.took_over

    def _summary(self) -> str:
        return f"{self._count} worker(s), revision {self._loaded.revision[:12]}"

    @property
    def admin_place(self) -> Place | None:
        return self._places.admin.place if self._places.admin is not None else None

    async def _drain(self) -> bool:
        """Stops accepting after `drain_delay`, and ends within `drain_timeout` after that."""
        configuration = self._loaded.configuration
        self._log.info("draining", delay=configuration.drain_delay, timeout=configuration.drain_timeout)
        await self._ask_all(message.Announce(), SOON)
        if self._successor is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(configuration.drain_delay):
                    await self._hurry.wait()
        async with self._committing:
            pass  # who has begun to commit is done, and nobody begins any more
        return await self._end(configuration.drain_timeout)

    async def _end(self, timeout: float) -> bool:
        """Ends the workers, whose exchanges have so many seconds, and closes everything."""
        self._stopping.set()
        if self._successor is not None and not self._succeeded:
            self._successor.kill()  # the service is to end, and not to go on under another number
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        children = list(self._children.values())
        await self._ask_all(message.Close(), SOON)
        self._places.use(())
        clean = all(await asyncio.gather(*(self._end_child(child, timeout) for child in children)))
        if self._admin is not None:
            await self._admin.close()
        self._places.use_admin(None)
        self._places.close_rest()
        self._memory.close()
        self._predecessor.close()
        self._life.close()
        return clean

    async def _end_child(self, child: Child, timeout: float) -> bool:
        if not child.ready:
            child.kill()
            await child.ended()
            return True
        draining = asyncio.ensure_future(self._drained(child, timeout))
        hurried = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait((draining, hurried), return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        clean = draining.result() if draining.done() else await self._drained(child, 0.0)
        draining.cancel()
        await child.ended()
        return clean

    async def _drained(self, child: Child, timeout: float) -> bool:
        try:
            answer = await child.ask(message.Drain(timeout), timeout + LAST)
        except WorkerGone:
            child.kill()
            return await child.ended() == CLEAN
        return bool(answer.value)

    # ---- workers

    async def _keep(self, slot: int) -> None:
        """Sees to it that there is a worker in a slot."""
        pause = 0.0
        while True:  # until the drain begins, which ends this task
            why = await self._work(slot)
            if not self._started:
                return
            ready_at = self._children[slot].ready_at if slot in self._children else None
            steady = ready_at is not None and time.monotonic() - ready_at >= STEADY
            pause = 0.0 if steady else min(max(pause * 2, BACKOFF[0]), BACKOFF[1])
            self._restarts[slot] += 1
            self._log.error("worker_ended", slot=slot, reason=why, starts_again_in=pause)
            if ready_at is None:
                await self._lend(slot)
            await asyncio.sleep(pause)

    async def _work(self, slot: int) -> str:
        """Starts a worker, and returns when it is over: why."""
        over = self._over.get(slot, ())
        beside: tuple[int, ...]
        try:
            if slot in self._over:
                number, beside = await asyncio.to_thread(self._memory.number), ()
            else:
                number, beside = self._first[slot], tuple(self._first.values())
            child = Child(
                message.Begin(slot, number, self._console, over, beside),
                self._memory,
                self._life.mark,
            )
        except OSError as error:
            self._fail(StartError(f"no worker can be started: {error.strerror}"))
            return f"it cannot be started: {error.strerror}"
        self._children[slot] = child
        try:
            await child.begin()
            async with self._changing:
                await self._equip(child)
            over = ()
            if self._started:
                self._log.info("worker_started", slot=slot, worker=number, pid=child.pid)
            self._progress.set()
            if self._stopping.is_set():
                await child.ask(message.Announce(), SOON)
            why = await child.ended()
            self._fail(StartError(f"a worker ended: {why}"))
            return why
        except ConfigurationError as error:
            self._fail(error)
            child.kill()
            await child.ended()
            return f"the configuration cannot be put in force: {error.problems[0]}"
        except WorkerError as error:
            self._fail(StartError(f"a worker did not start: {error}"))
            child.kill()
            await child.ended()
            return str(error)
        finally:
            self._over[slot] = (*over, number)

    def _fail(self, error: Exception) -> None:
        """What ends a start, and what is only told once the gateway has started."""
        if not self._started and self._failure is None:
            self._failure = error
            self._progress.set()

    async def _equip(self, child: Child) -> None:
        """Puts in force what is in force. Raises ConfigurationError or WorkerError."""
        _refuse_unbuilt(child, await child.ask(message.Prepare(self._as_kept()), PREPARE))
        async with self._committing:
            await child.commit(self._places.of(child.slot, self._places.spots))
            helper = self._places.restore(child.slot)
            if helper is not None:
                await self._accept_anew(helper)

    def _as_kept(self) -> Loaded:
        """What is in force, with the certificates of the listeners as they have been renewed since."""
        renewed = {
            name: content
            for credentials in self._credentials
            if credentials is not None
            for name, content in credentials.files.items()
        }
        return replace(self._loaded, tls_files={**self._loaded.tls_files, **renewed})

    async def _renew(self) -> None:
        """Keeps what is good of the listeners' files, as the workers do: one that starts may find them half written."""
        while True:
            await asyncio.sleep(LOOK)
            for credentials in self._credentials:
                if credentials is not None and credentials.tls.reload and credentials.changed:
                    await credentials.renew()

    async def _lend(self, slot: int) -> None:
        """Gives the clients of a slot that gets no worker soon, and those who wait there already, to another."""
        async with self._changing, self._committing:
            others = [child.slot for child in self._ready() if child.slot != slot]
            if others and not self._stopping.is_set():
                self._places.lend(slot, others[0])
                await self._accept_anew(others[0])

    async def _accept_anew(self, slot: int) -> None:
        """Has a worker accept from what its slot has by now. One that has ended leaves it to the next."""
        child = self._children[slot]
        if child.ready:
            try:
                await child.accept(self._places.of(slot, self._places.spots))
            except WorkerError as error:
                self._log.warning("worker_does_not_accept", slot=slot, reason=str(error))

    def _ready(self) -> list[Child]:
        return [child for child in self._children.values() if child.ready]

    async def _ask_all(self, asked: Any, within: float = ANSWER) -> None:
        await asyncio.gather(*(child.ask(asked, within) for child in self._ready()), return_exceptions=True)

    async def _told(self, topic: str, within: float = ANSWER) -> list[tuple[Child, Any]]:
        """What each worker has to say of a topic; one that says nothing is left out."""
        children = self._ready()
        values = await asyncio.gather(
            *(child.told(topic, within) for child in children), return_exceptions=True
        )
        return [
            (child, value)
            for child, value in zip(children, values, strict=True)
            if not isinstance(value, BaseException)
        ]

    async def _look_after(self) -> None:
        """Kills a worker that does not answer any more; its slot starts another."""
        while True:
            await asyncio.sleep(LOOK)
            await asyncio.gather(*(self._look_at(child) for child in self._ready()))

    async def _look_at(self, child: Child) -> None:
        try:
            await child.told("pulse", HUNG)
        except WorkerError as error:
            if not child.over.done():
                self._log.error("worker_hung", slot=child.slot, pid=child.pid, reason=str(error))
                child.kill()

    async def _show_life(self, every: float) -> None:
        while True:
            self._notifier.alive()
            await asyncio.sleep(every)

    async def reopen_log(self) -> None:
        """Has every worker open the request log's file anew: somebody has moved it."""
        await self._asked(message.Reopen())
        self._log.info("request_log_reopened", path=self._loaded.configuration.log.path)

    # ---- another configuration

    async def reload(self) -> Reload:
        """Reads the configuration and puts it in force in all workers, or in none."""
        async with self._changing:
            why = self._prevents_reload()
            if why is not None:
                result = Reload(self._loaded.revision, False, why)
            else:
                self._notifier.reloading()
                result = await self._reload()
                self._notifier.ready(self._summary())
        self._reloads["applied" if result.applied else "rejected"] += 1
        if result.applied:
            self._last_error = None
            told = {"state_lost": list(result.state_lost), "state_back": list(result.state_back)}
            self._log.info("reloaded", revision=result.revision[:12], **told)
        else:
            problems = [str(problem) for problem in result.problems]
            self._last_error = {"at": time.time(), "error": result.error, "problems": problems}
            self._log.error("reload_rejected", error=result.error, problems=problems)
        return result

    def _prevents_reload(self) -> str | None:
        """Why there can be no reload just now."""
        if self._stopping.is_set():
            return "the gateway is stopping"
        if not self._started:
            return "the gateway is starting"
        return "a successor is starting" if self._successor is not None else None

    async def _reload(self) -> Reload:
        in_force = self._loaded.revision
        try:
            loaded = await asyncio.to_thread(self._load)
        except ConfigurationError as error:
            return Reload(in_force, False, "the configuration is not valid", error.problems)
        spots: Sequence[Spot] = ()
        admin: Spot | None = None
        try:
            access = load_access(loaded)
            credentials = await asyncio.to_thread(load_credentials, loaded)
            spots = await self._places.opened(loaded)
            admin = await self._places.open_admin(loaded)
            children = await self._prepare(loaded)
        except (ConfigurationError, WorkerError, OSError) as error:
            await self._abandon(spots, admin)
            if isinstance(error, ConfigurationError):
                return Reload(in_force, False, "the configuration cannot be put in force", error.problems)
            return Reload(in_force, False, getattr(error, "strerror", None) or str(error))
        async with self._committing:
            stops = self._stopping.is_set()
            if not stops:
                self._loaded, self._credentials = loaded, credentials
                self._loaded_at = time.time()
                committed = await asyncio.gather(*(self._commit(child, spots) for child in children))
                self._places.use(spots)
                await self._move_admin(admin, access)
        if stops:  # workers that are told to end have let go of what they would accept from
            await self._abandon(spots, admin)
            return Reload(in_force, False, "the gateway is stopping")
        self._check_count(loaded)
        return Reload(
            loaded.revision,
            True,
            state_lost=sorted({name for each in committed for name in each.lost}),
            state_back=sorted({name for each in committed for name in each.back}),
        )

    async def _abandon(self, spots: Sequence[Spot], admin: Spot | None) -> None:
        """Lets go of what was prepared and opened."""
        await self._ask_all(message.Abandon())
        self._places.close(spots)
        self._places.close_admin(admin)

    def _check_count(self, loaded: Loaded) -> None:
        """Warns where another number of workers would be right: it takes a restart, or SIGUSR2."""
        wanted = self._count_for(loaded, self._count)
        if wanted != self._count:
            self._log.warning("workers_take_a_restart", workers=self._count, wanted=wanted)

    async def _prepare(self, loaded: Loaded) -> list[Child]:
        """The workers that have built it; one that has ended meanwhile is none. Raises ConfigurationError or WorkerError."""
        children = self._ready()
        answers = await asyncio.gather(
            *(child.ask(message.Prepare(loaded), PREPARE) for child in children), return_exceptions=True
        )
        prepared: list[Child] = []
        for child, answer in zip(children, answers, strict=True):
            if isinstance(answer, WorkerGone):
                if not child.over.done():
                    raise WorkerError(f"worker {child.number} does not answer")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                _refuse_unbuilt(child, answer)
                prepared.append(child)
        if not prepared:
            await self._try_apart(loaded)
        return prepared

    async def _try_apart(self, loaded: Loaded) -> None:
        """Has a process of its own build it, while there is no worker that could, or where building has ended them all: what
        nobody has built is not put in force. Raises ConfigurationError or WorkerError.
        """
        try:
            number = await asyncio.to_thread(self._memory.number)
            child = Child(message.Begin(0, number, self._console), self._memory, self._life.mark)
        except OSError as error:
            raise WorkerError(f"no worker can be started: {error.strerror}") from error
        try:
            await child.begin()
            _refuse_unbuilt(child, await child.ask(message.Prepare(loaded), PREPARE))
        except WorkerGone as error:
            raise WorkerError(f"a worker that was to build it has not: {error}") from None
        finally:
            child.kill()
            await child.ended()

    async def _commit(self, child: Child, spots: Sequence[Spot]) -> message.Committed:
        """It cannot be undone by now: a worker that does not follow makes room for one that will."""
        try:
            return await child.commit(self._places.of(child.slot, spots))
        except WorkerError as error:
            if not child.over.done():
                self._log.error("worker_does_not_follow", slot=child.slot, reason=str(error))
                child.kill()
            return message.Committed()

    async def _watch(self) -> None:
        """Reloads when the file, or one beside it, has changed, where the configuration asks for that."""
        seen = (self._loaded.text, self._loaded.beside)
        while True:
            every = self._loaded.configuration.watch
            await asyncio.sleep(every or LOOK)
            if not self._loaded.configuration.watch:
                continue
            text = await asyncio.to_thread(self._loaded.current_text)
            if text is None:
                continue
            now = (text, await asyncio.to_thread(self._loaded.current_beside))
            if now != seen:
                former = self._loaded
                await self.reload()
                seen = (self._loaded.text, self._loaded.beside) if self._loaded is not former else now

    # ---- the admin listener

    async def _move_admin(self, spot: Spot | None, access: Access | None) -> None:
        """Answers there, and by these rules, from now on. Where nothing of it is new, whoever asks just now is not cut off."""
        if (
            spot is not None
            and spot is self._places.admin
            and access is not None
            and access.is_as(self._access)
        ):
            return
        self._access = access
        former, self._admin = self._admin, None
        if spot is not None:
            self._admin = Admin(self)
            await self._admin.start(spot.openings[0][1].sockets, access)
        self._places.use_admin(spot)
        if former is not None:
            spawn(former.close(), name="admin")

    async def readiness(self) -> list[Check]:
        upstreams, checks = await asyncio.gather(self.upstreams(PROMPT), self._told("checks", PROMPT))
        return [
            Check("configuration", self._started),
            Check("accepting", self._started and not self._stopping.is_set()),
            Check("workers", bool(self._ready())),
            *upstream_checks(upstreams),
            *filter_checks(told for _, told in checks),
        ]

    async def families(self) -> list[Any]:
        found = {child.number: value for child, value in await self._told("metrics", SCRAPE)}
        living = [child.number for child in self._children.values() if not child.over.done()]
        # In a thread: it looks through the shared memory.
        own = await asyncio.to_thread(self.metrics.families)
        return merged([own, *self._tally.take(found, living)])

    def loaded(self) -> Loaded:
        return self._loaded

    def config(self) -> dict[str, Any]:
        return described(self._loaded, self._loaded_at, self._last_error)

    def planned(self) -> dict[str, Any]:
        return planned(self._loaded)

    def source(self, line: int) -> list[dict[str, Any]]:
        return around(self._loaded, line)

    def log_path(self) -> str | None:
        return self._loaded.configuration.log.path

    async def workers(self) -> list[dict[str, Any]]:
        told = {child.slot: status for child, status in await self._told("status")}
        return [
            {
                "slot": slot,
                "worker": child.number,
                "pid": child.pid,
                "ready": child.ready,
                "restarts": self._restarts[slot],
                "started_at": child.started_at,
                **told.get(slot, {}),
            }
            for slot, child in sorted(self._children.items())
        ]

    async def upstreams(self, within: float = ANSWER) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child, status in await self._told("upstreams", within):
            for name, state in status.items():
                found.setdefault(name, {})[str(child.slot)] = state
        return found

    async def revoke_all(self, revocation: Revocation) -> Revoked:
        """Those of a successor are not heard from here: while there is one, a revocation is not complete. Once it has taken
        over, it is the one that is asked, and has this one told.
        """
        key = hash_key(self._loaded.configuration, self._memory)
        revoked = await self._revoke(of_key(revocation, key), heard=True)
        if self._successor is None:
            return revoked
        return Revoked(revoked.forgotten, (*revoked.failures, "a successor is starting"))

    async def _revoke(self, revocation: Revocation, heard: bool = False) -> Revoked:
        """A worker that is starting has nothing yet to forget, but finds what others have left that are there no more.

        With `heard` one at least must have heard of it: what is kept in a store is there until a worker says otherwise.
        """
        (answers, failures), earlier = await asyncio.gather(
            self._forgotten(revocation), self._predecessor.revoke(revocation)
        )
        self._memory.void(time.monotonic(), attended=bool(answers))
        failures += sorted({why for each in answers for why in each.owed})
        if heard and not answers:
            failures.append("no worker is ready")
        if any(family.lives() for family in self._failed):
            failures.append("workers of a successor that has failed are ending")
        return Revoked(
            sum(each.entries for each in answers) + earlier.forgotten, (*failures, *earlier.failures)
        )

    async def _forgotten(self, revocation: Revocation) -> tuple[list[message.Forgotten], list[str]]:
        """What the workers answer. One that begins meanwhile may have learned something before the others had told of it."""
        answers: list[message.Forgotten] = []
        failures: list[str] = []
        heard: set[Child] = set()
        while fresh := [each for each in self._children.values() if each.carries and each not in heard]:
            heard.update(fresh)
            told, silent = await self._asked(message.Revoke(revocation), fresh)
            answers += told
            failures += silent
        return answers, failures

    async def recent_lines(self, after: Mapping[int, int]) -> tuple[list[bytes], Mapping[int, int]]:
        children = self._ready()
        answers = await asyncio.gather(
            *(child.ask(message.Recent(after.get(child.number, 0)), PROMPT) for child in children),
            return_exceptions=True,
        )
        lines: list[bytes] = []
        following: dict[int, int] = {}
        for child, answer in zip(children, answers, strict=True):
            if isinstance(answer, message.Answer) and answer.error is None:
                new, following[child.number] = answer.value
                lines += new
        return lines, following

    async def fullest_buckets(self, selection: Selection, count: int) -> Buckets:
        answers, silent = await self._asked(message.ShowBuckets(selection, count))
        return together([*answers, Buckets((), silent)], count)

    async def empty_buckets(self, selection: Selection) -> Buckets:
        answers, silent = await self._asked(message.ResetBuckets(selection))
        return together([*answers, Buckets((), silent)])

    async def _asked(
        self, asked: Any, children: Sequence[Child] | None = None
    ) -> tuple[list[Any], list[str]]:
        """What the workers answer that carry exchanges, or these; and which live and have not answered."""
        if children is None:
            children = self._ready()
        answers = await asyncio.gather(*(child.ask(asked) for child in children), return_exceptions=True)
        values: list[Any] = []
        silent: list[str] = []
        for child, answer in zip(children, answers, strict=True):
            if isinstance(answer, message.Answer) and answer.error is None:
                values.append(answer.value)
            elif not child.over.done():
                silent.append(f"worker {child.number} does not answer")
        return values, silent

    def _observe(self) -> None:
        metrics = self.metrics
        observe_usage(metrics, self._memory)
        metrics.gauge("gateway_workers", "Workers that carry exchanges.", lambda: len(self._ready()))
        metrics.counters(
            "gateway_worker_restarts",
            "Workers that were started again after one had ended.",
            ("slot",),
            lambda: [((str(slot),), count) for slot, count in self._restarts.items()],
        )
        metrics.counters(
            "gateway_config_reload",
            "Attempts to put another configuration in force.",
            ("result",),
            lambda: [((result,), count) for result, count in self._reloads.items()],
        )
        metrics.gauge(
            "gateway_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was loaded.",
            lambda: self._loaded_at,
        )

    # ---- a successor

    async def replace(self) -> None:
        """Starts the program anew on the same sockets; once that is ready, this one drains and ends.

        Where the other does not come up, this one goes on.
        """
        if self._successor is not None or self._stopping.is_set():
            return
        self._failed = [family for family in self._failed if family.lives()]
        earlier = [*self._predecessor.families(), *self._failed]
        try:
            self._successor = successor = Successor(
                self._places, self._notifier, self._memory, self._life, earlier
            )
        except OSError as error:
            self._log.error("successor_failed", reason=error.strerror)
            return
        self._log.info("successor_starting", pid=successor.pid)
        answering = spawn(kin.serve(successor.line, self._revoke), name="successor's line")
        failure = await successor.ready()
        if self._stopping.is_set():
            successor.kill()
            return
        if failure is not None:
            answering.cancel()
            self._failed.append(successor.family)
            self._successor = None
            self._log.error("successor_failed", reason=failure)
            return
        self._log.info("successor_ready", pid=successor.pid)
        self._notifier.successor(successor.pid)
        self._places.leave_files()
        # Two that answer for one service would say two things.
        await self._move_admin(None, None)
        self.stop()


def _refuse_unbuilt(child: Child, answer: message.Answer) -> None:
    """Raises ConfigurationError or WorkerError where a worker says that it could not prepare what it was to."""
    if answer.problems:
        raise ConfigurationError(answer.problems)
    if answer.error is not None:
        raise WorkerError(f"worker {child.number}: {answer.error}")


def obey_signals(supervisor: Supervisor) -> None:
    """SIGTERM and SIGINT stop, SIGHUP reloads, SIGUSR1 has the request log opened anew, SIGUSR2 has a new program take over."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: spawn(supervisor.reload(), name="reload"))
    loop.add_signal_handler(signal.SIGUSR1, lambda: spawn(supervisor.reopen_log(), name="reopen"))
    loop.add_signal_handler(signal.SIGUSR2, lambda: spawn(supervisor.replace(), name="successor"))


def supervise(
    loaded: Loaded,
    *,
    load: Callable[[], Loaded],
    workers: int,
    count: Callable[[Loaded, int], int],
    console: bool = False,
) -> bool:
    """Runs the gateway until a signal stops it; True when every exchange ended by itself.

    Raises ConfigurationError or StartError.
    """

    async def run() -> bool:
        notifier = Notifier(os.environ)
        supervisor = Supervisor(
            loaded,
            load=load,
            workers=workers,
            places=Places(workers, os.environ),
            notifier=notifier,
            predecessor=Predecessor(os.environ),
            memory=inherited_memory(os.environ),
            count=count,
            console=console,
        )
        obey_signals(supervisor)
        try:
            return await supervisor.run()
        finally:
            ignore_signals(OBEYED)

    return asyncio.run(run())
