"""One scheduler, put together: the election, the store, the loop, Mesos, the Alluxio watch and the API. Nothing about
the cluster is decided here.
"""

from __future__ import annotations

import dataclasses
import enum
import getpass
import logging
import queue
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from framework import config, configuring, launch, secrets_folder
from framework.alluxio.drain import Drainer, Leaving
from framework.alluxio.figures import Poller, Targets
from framework.alluxio.keeper import Keeper
from framework.alluxio.mounts import Mounter, NoSecret
from framework.alluxio.paths import Paths
from framework.alluxio.watch import Addresses, Watch
from framework.api.app import Artefacts, Role, Service, Standing, application
from framework.api.metrics import WORKER_SERIES
from framework.api.safety import IN_CLEAR, Safety, Unsafe, is_in_clear, safety
from framework.api.server import PortTaken, Server, Tls, TlsProblem, bind
from framework.api.tokens import TokenProblem
from framework.chronicle import Chronicle
from framework.config import BY_NAME, Configuration, by_ids
from framework.configuring import Configured
from framework.loop import Loop
from framework.memory import after, newly_wanted, resumed
from framework.mesos import Identity, Mesos
from framework.messages import (
    CacheSeen,
    Discard,
    DrainsSeen,
    Effect,
    Erase,
    KeepPaths,
    KeepWanted,
    Launch,
    MakeMount,
    MountAnswered,
    RemoveMember,
    Stop,
    Uninstalled,
    Unmount,
    UpdateMount,
)
from framework.model import ExitCode, GroupEntry, Journal, Kept, Kind, Wanted, group_named, kind_of
from framework.paths import WantedPath
from framework.planner import State, registered_workers
from framework.removal import UNDER_WAY
from framework.series import Sampler, Series
from framework.state import (
    DECOMMISSION,
    in_order,
    is_leaving,
    kept_of,
    master_address,
    master_addresses,
    masters,
    remembering,
)
from framework.store import StoreError, StoreUnavailable
from framework.tally import Tally
from framework.zookeeper import AlluxioLeader, Candidate, MesosMasters, Session, ZooKeeperStore, read_credentials
from framework.zookeeper.store import remove

log = logging.getLogger(__name__)

UNINSTALL_VARIABLE: Final = "SDK_UNINSTALL"
WATCH_PAUSE: Final = 10.0  # seconds between two questions to Alluxio when all is well
WATCH_SOON: Final = 0.3  # … and while a worker has still to register
FIRST_WORD: Final = 0.5  # seconds of waiting before the log says what is waited for
CHANGE_PATIENCE: Final = 10.0  # seconds until a change that was asked for must be written
WORD_PAUSE: Final = 10.0  # … and before it says so again


class Unavailable(Exception):
    """Something that the scheduler needs is not there; the message says what to do."""


class Farewell(enum.StrEnum):
    """Whether the service is removed for good, and what the scheduler does then."""

    NONE = "none"
    SERVE = "serve"  # it goes on to say that all is done, as DC/OS waits for that word
    END = "end"


def farewell(environment: Mapping[str, str]) -> Farewell:
    """What DC/OS asks for when a package is uninstalled."""
    return Farewell.SERVE if environment.get(UNINSTALL_VARIABLE, "").lower() == "true" else Farewell.NONE


def run(
    configuration: Configuration,
    values: Mapping[str, str],
    environment: Mapping[str, str],
    first: tuple[GroupEntry, ...] = (),
    leaving: Farewell = Farewell.NONE,
) -> ExitCode:
    """Run the scheduler until it is told to stop. Everything that can be wrong is found before Mesos hears of it.
    ``values`` are the options' texts that the configuration was read from; secrets may be in ``environment``. ``first``
    are the groups of workers that a service begins with.
    """
    try:
        artefacts = Artefacts.of() if leaving is not Farewell.NONE else _artefacts(configuration)
        identity = _identity(configuration, environment)
        credentials = read_credentials(configuration.zookeeper_auth_file, environment)
        tls = Tls.of(configuration.api_certificate, configuration.api_key)
        bound = bind(configuration.api_host, configuration.api_port)
        host = bound.getsockname()[0]
        safe = safety(configuration, host, environment)
    except (Unavailable, PortTaken, StoreUnavailable, TokenProblem, TlsProblem) as error:
        log.error("%s", error)
        return ExitCode.UNAVAILABLE
    except Unsafe as error:
        log.error("%s", error)
        return ExitCode.CONFIGURATION
    if is_in_clear(configuration, host, safe):
        log.warning("%s", IN_CLEAR.format(host=host))
    front = Front(bound, tls, safe)
    return _Scheduler(configuration, values, first, identity, credentials, artefacts, front, leaving=leaving).run()


def _artefacts(configuration: Configuration) -> Artefacts:
    wanted = [] if configuration.executor_uri else [launch.EXECUTOR_FILE]
    folder = Path(configuration.artefacts)
    paths = [folder / name for name in wanted]
    if not configuration.alluxio_uri:
        paths.append(
            next(iter(sorted(folder.glob("alluxio-[0-9]*.tar.gz"), reverse=True)), folder / "alluxio-2.9.6.tar.gz")
        )
    for path in paths:
        if not path.is_file():
            raise Unavailable(
                f"--artefacts: {path} is missing; make it with `make bundle` or `python -m framework.artefacts all`"
            )
    return Artefacts.of(*paths)


def _identity(configuration: Configuration, environment: Mapping[str, str]) -> Identity:
    secret = environment.get(BY_NAME["secret-file"].secret_environment, "").strip() if configuration.principal else ""
    if configuration.secret_file:
        try:
            secret = Path(configuration.secret_file).read_text().strip()
        except OSError as error:
            raise Unavailable(
                f"--secret-file: {configuration.secret_file} cannot be read ({error.strerror})"
            ) from error
    return Identity(
        name=configuration.name,
        user=configuration.user or getpass.getuser(),
        role=configuration.role,
        hostname=socket.gethostname(),
        webui_url=configuration.api_url,
        failover_timeout=configuration.failover_timeout,
        principal=configuration.principal,
        secret=secret,
    )


def least(wanted: Wanted, kept: Kept) -> tuple[tuple[float, int], ...]:
    """The CPUs and MiB of memory that an offer must hold to be sent at all, one pair for each kind that is wanted; none
    where everything is to be sent (C19). Workers may be asked for at any time.

    It is half of what a task needs: crumbs are not sent, while an offer that nearly fits comes and is refused with its
    reason. Volumes may come with nothing beside them, also those that are left over from a time when they were wanted.
    """
    had = any(entry.options.get("persistent-volumes") == "yes" for entry in kept.history)
    if had or any(record.volumes for record in kept.records.values()):
        return ()
    asked_for = [group for group in wanted.all_groups if wanted.count(group) != 0 or kind_of(group) is Kind.WORKER]
    needs = [need for group in asked_for if (need := wanted.need(group)) is not None]
    return () if any(need.volumes for need in needs) else tuple((need.cpus / 2000, need.memory // 2) for need in needs)


@dataclasses.dataclass(frozen=True, slots=True)
class Front:
    """Where the API is listened for, and what protects it."""

    bound: socket.socket
    tls: Tls | None
    safety: Safety

    @property
    def url(self) -> str:
        host, port = self.bound.getsockname()[:2]
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{self.safety.prefix}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Leading:
    """What runs while this scheduler leads."""

    loop: Loop
    mesos: Mesos
    watch: Watch
    alluxio: AlluxioLeader | None
    poller: Poller
    sampler: Sampler
    drainer: Drainer
    mounter: Mounter
    keeper: Keeper


class _Scheduler:
    """The life of one scheduler process: it waits for ZooKeeper, stands by, leads, and ends. ``_notices`` wakes the
    main thread: a ``Stop`` ends the process, None says that something changed.
    """

    def __init__(
        self,
        configuration: Configuration,
        values: Mapping[str, str],
        first: tuple[GroupEntry, ...],
        identity: Identity,
        credentials: str,
        artefacts: Artefacts,
        front: Front,
        *,
        leaving: Farewell,
    ) -> None:
        self._farewell = leaving
        self._is_done = False  # the service is removed: this process has nothing but a last word
        self._configuration = configuration  # what this process was started with
        self._values = values
        self._first = first
        self._configurations = by_ids(configuration)  # all that tasks were launched with here
        self._identity = identity
        self._api_url = configuration.api_url or front.url
        self._artefacts = artefacts
        self._tally = Tally()
        self._chronicle = Chronicle(int(time.time() * 1000))
        self._series = Series()
        self._notices: queue.SimpleQueue[Stop | None] = queue.SimpleQueue()
        self._lead = ""  # the node that shows that this scheduler leads
        self._leading: _Leading | None = None
        self._ends = False
        self._session = Session(
            configuration.zookeeper_hosts,
            seconds=configuration.zookeeper_session,
            credentials=credentials,
            ended=self._end,
            changed=self._wake,
        )
        self._candidate = Candidate(
            self._session, configuration.zookeeper_path, self._api_url, self._elected, self._end, self._wake
        )
        self._paths = Paths(
            lambda: master_addresses(self._led().loop.snapshot),
            authentication=configuration.security,
            user=identity.user,
        )
        service = Service(
            configuration,
            self._api_url,
            artefacts,
            self._standing,
            lambda: self._led().loop.snapshot,
            lambda: self._led().mesos.heard_at,
            front.safety,
            self._tally,
            lambda: self._led().poller.figures,
            self._chronicle,
            self._series,
            lambda event, is_done: self._led().loop.change(event, is_done, CHANGE_PATIENCE),
            values,
            self._configurations,
            self._secret_mistake,
            self._paths,
            lambda: self._led().keeper.standing,
        )
        self._server = Server(application(service), front.bound, front.tls, configuration.api_proxies)

    def run(self) -> ExitCode:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(
                number,
                lambda signum, _: self._end(
                    Stop(ExitCode.DONE, f"{signal.Signals(signum).name} came; every task runs on")
                ),
            )
        log.info(
            "service %s: API at %s, state in ZooKeeper at %s",
            self._configuration.name,
            self._api_url,
            self._configuration.zookeeper,
        )
        self._server.start()
        self._session.start()
        try:
            stop = self._wait_for_zookeeper() or self._wait_for_the_lead()
            if stop is None:
                return self._run_loop()
            log.log(logging.INFO if stop.exit_code == ExitCode.DONE else logging.ERROR, "%s", stop)
            return ExitCode(stop.exit_code)
        except StoreError as error:
            log.error("%s", error)
            return error.exit_code
        finally:
            self._leave()

    # Notices, from any thread.

    def _end(self, stop: Stop) -> None:
        if self._is_done and stop.exit_code != ExitCode.DONE:
            return  # there is no state left that a lost session could endanger
        self._notices.put(stop)
        if self._leading is not None:
            self._leading.loop.post(stop)

    def _wake(self) -> None:
        self._notices.put(None)

    def _elected(self, node: str) -> None:
        self._lead = node
        self._wake()

    # What happens until this scheduler leads, on the main thread.

    def _wait_for_zookeeper(self) -> Stop | None:
        hosts = self._configuration.zookeeper_hosts
        sentence = f"waiting for ZooKeeper: no server answers at {hosts}; start it, or correct --zookeeper"
        return self._wait(lambda: self._session.began, lambda: sentence)

    def _wait_for_the_lead(self) -> Stop | None:
        self._candidate.start()
        said = ""

        def sentence() -> str:
            nonlocal said
            leader = self._candidate.leader
            before, said = said, f"standing by: the scheduler at {leader} leads" if leader != self._api_url else ""
            return said if leader and said != before else ""

        return self._wait(lambda: self._lead != "", sentence)

    def _wait(self, is_over: Callable[[], bool], sentence: Callable[[], str]) -> Stop | None:
        """Until then, or until a ``Stop``; what ``sentence`` says is logged now and then."""
        began = said_at = time.monotonic()
        while not is_over():
            try:
                stop = self._notices.get(timeout=FIRST_WORD if said_at == began else WORD_PAUSE)
                if stop is not None:
                    return stop
            except queue.Empty:
                pass
            if time.monotonic() - said_at >= (FIRST_WORD if said_at == began else WORD_PAUSE):
                said_at = time.monotonic()
                if text := sentence():
                    log.warning("%s", text)
        return None

    # What it does as the leader.

    def _run_loop(self) -> ExitCode:
        log.info("this scheduler leads")
        store = ZooKeeperStore(self._session, self._configuration.zookeeper_path, self._lead)
        kept = store.load()
        if kept.uninstalling and self._farewell is Farewell.NONE:
            log.error(
                "the service %s is being uninstalled; finish that with `alluxio-mesos uninstall`, or with %s=true",
                self._configuration.name,
                UNINSTALL_VARIABLE,
            )
            return ExitCode.UNINSTALLING
        held = self._held(kept)
        configuration = held.configuration
        for launching in held.launching:
            self._configurations.update(by_ids(launching))
        wanted = resumed(kept, held.own_wanted, held.options, self._first)
        leaves = self._farewell is not Farewell.NONE
        for effect in () if leaves else newly_wanted(kept, wanted, held.options, time.time(), held.given, self._first):
            log.info("%s", effect)
            store.save([effect])
            kept = after(kept, [effect])
        state = remembering(State(wanted, configuring.policy(configuration), uninstalls=leaves), kept)
        loop = Loop(state, store, self._act, time.time, self._session.may_act, self._tally, self._chronicle)
        identity = dataclasses.replace(
            self._identity, framework_id=kept.framework_id, webui_url=self._api_url, least=least(wanted, kept)
        )
        mesos = Mesos(identity, loop.post, self._session.may_act)
        watch = Watch(
            lambda: _to_ask(loop.snapshot),
            lambda: WATCH_PAUSE if _is_complete(loop.snapshot) else WATCH_SOON,
            lambda report: loop.post(CacheSeen(report)),
            self._configuration.security,
        )
        poller = Poller(lambda: _to_poll(loop.snapshot))
        sampler = Sampler(lambda: self._series.take(loop.snapshot, poller.figures, time.time()))
        drainer = Drainer(
            lambda: self._leaving(loop.snapshot),
            lambda drains: loop.post(DrainsSeen(drains)),
            self._configuration.security,
            self._identity.user,
            self._configuration.decommission_drain,
        )

        def mounted(answered: MountAnswered) -> None:
            loop.post(answered)
            watch.wake()

        mounter = Mounter(
            lambda: master_addresses(loop.snapshot) if self._session.may_act() else (),
            self._secret,
            mounted,
            self._configuration.security,
            self._identity.user,
        )
        keeper = Keeper(lambda: self._paths_to_keep(loop.snapshot), self._paths)
        alluxio = self._alluxio_leader(watch)
        self._leading = _Leading(loop, mesos, watch, alluxio, poller, sampler, drainer, mounter, keeper)
        while not self._notices.empty():  # what came before the loop could be told
            if (stop := self._notices.get()) is not None:
                loop.post(stop)
        watch.start()
        self._leading.poller.start()
        self._leading.sampler.start()
        drainer.start()
        keeper.start()
        if self._leading.alluxio is not None:
            self._leading.alluxio.start()
        if not leaves or kept.framework_id:
            self._follow(mesos)
        return loop.run()

    def _held(self, kept: Kept) -> Configured:
        """What this process was started with, and what was changed over the API since."""
        found = configuring.resumed(self._values, kept, self._first)
        if isinstance(found, Configured):
            return found
        for mistake in found:
            log.error("what was changed over the API does not hold any more: %s", mistake)
        # Its workers stay, as those of the default group are.
        plain = {group_named(group.name): self._configuration for group in configuring.group_entries(kept.history)}
        return Configured(self._configuration, config.recorded(self._values), {}, plain)

    def _paths_to_keep(self, state: State) -> tuple[WantedPath, ...]:
        return state.paths if self._session.may_act() and not state.uninstalls else ()

    def _leaving(self, state: State) -> Leaving:
        """Nobody leaves while another scheduler may lead, or while somebody lets that rest."""
        if not self._session.may_act() or DECOMMISSION in state.wanted.paused:
            return Leaving()
        return Leaving(
            master_addresses(state),
            {
                record.task_id: f"{record.hostname}:{record.ports['rpc']}"
                for record in state.records.values()
                if is_leaving(state, record)
            },
        )

    def _alluxio_leader(self, watch: Watch) -> AlluxioLeader | None:
        """The watch on the masters' election, where they have one in ZooKeeper."""
        configuration = self._configuration
        if configuration.journal_kind is not Journal.SHARED:
            return None

        def changed(leader: str | None) -> None:
            log.info("in ZooKeeper %s is Alluxio's primary", leader or "nobody")
            watch.wake()

        path = configuration.alluxio_path
        return AlluxioLeader(configuration.zookeeper_hosts, f"{path}/leader", changed, f"{path}/election")

    def _follow(self, mesos: Mesos) -> None:
        address = self._configuration.mesos
        if address.startswith("zk://"):
            hosts, _, path = address.removeprefix("zk://").partition("/")
            mesos.follow_elected(lambda changed: MesosMasters(hosts, path, changed))
        else:
            mesos.follow(address)

    def _leave(self) -> None:
        """Disconnect first, then give the lead back: no two schedulers are subscribed at once (C6)."""
        self._ends = True
        if self._leading is not None and not self._is_done:
            self._leading.mesos.leave()
        self._candidate.give_back()
        self._session.close()
        if self._leading is not None:
            self._leading.watch.stop()
            self._leading.poller.stop()
            self._leading.sampler.stop()
            self._leading.drainer.stop()
            self._leading.mounter.stop()
            self._leading.keeper.stop()
            if self._leading.alluxio is not None:
                self._leading.alluxio.stop()
        self._chronicle.close()  # which ends the streams, that the server need not wait for them
        self._server.stop()
        self._paths.close()

    def _say_farewell(self) -> None:
        """The state is erased: nothing of this service is left but what schedulers contend with."""
        self._is_done = True
        self._led().mesos.leave()
        self._candidate.give_back()
        remove(self._session, self._configuration.zookeeper_path)
        self._led().loop.post(Uninstalled())
        log.info("the service %s is uninstalled", self._configuration.name)
        if self._farewell is Farewell.END:
            self._end(Stop(ExitCode.DONE, "all of the service is removed"))

    # What the API asks, on its threads.

    def _led(self) -> _Leading:
        assert self._leading is not None, "only a leader is asked for what it knows"
        return self._leading

    def _standing(self) -> Standing:
        if self._ends:
            return Standing(Role.STANDBY, "", "this scheduler ends")
        if self._is_done:
            return Standing(Role.LEADER, self._api_url, closed=UNDER_WAY)
        away = f"ZooKeeper does not answer at {self._configuration.zookeeper_hosts}"
        if not self._session.began:
            return Standing(Role.WAITING, "", away)
        if self._leading is not None:
            reason = "" if self._session.is_open else f"{away}; nothing goes to Mesos until it does"
            closed = UNDER_WAY if self._farewell is not Farewell.NONE else ""
            return Standing(Role.LEADER, self._api_url, reason, closed)
        leader = self._candidate.leader
        # An earlier process at the same address may still be listed: sending clients there would send them here.
        other = "" if leader == self._api_url else leader
        return Standing(Role.STANDBY, other, "" if self._session.is_open else away)

    def _act(self, effects: Sequence[Effect], state: State) -> None:
        if not effects:
            return
        led = self._led()
        led.mesos.perform(effects, lambda effect: self._task_infos(effect, state), self._last_word)
        for effect in effects:
            match effect:
                case RemoveMember():
                    led.watch.remove(effect.address, job=effect.job)
                case Erase():
                    self._say_farewell()
                case MakeMount() | UpdateMount() | Unmount():
                    led.mounter.do(effect, state.mount_calls[effect.record.mount.path].asked_at)
                case KeepPaths():
                    led.keeper.wake()
                case KeepWanted():
                    led.mesos.ask_for(least(state.wanted, kept_of(state)))
                case _:
                    pass

    def _last_word(self, effect: Discard) -> str:
        return launch.last_word(
            self._configurations.get(effect.record.configuration, self._configuration), effect.record
        )

    def _secret(self, name: str) -> str:
        try:
            return secrets_folder.read(self._configuration.secrets_dir, name)
        except secrets_folder.SecretProblem as problem:
            raise NoSecret(str(problem)) from None

    def _secret_mistake(self, name: str) -> str:
        try:
            self._secret(name)
        except NoSecret as problem:
            return str(problem)
        return ""

    def _sources(self, configuration: Configuration) -> launch.Sources:
        served = self._artefacts
        return launch.Sources(
            executor=configuration.executor_uri or served.address(self._api_url, launch.EXECUTOR_FILE),
            alluxio=configuration.alluxio_uri
            or next(f"{self._api_url}/artefacts/{key}" for key in served.files if key.endswith(".tar.gz")),
            java=configuration.java_uri,
            extensions=configuration.under_storage_jars,
        )

    def _task_infos(self, effect: Launch, state: State) -> Sequence[Mapping[str, Any]]:
        known, owner = masters(state), self._led().mesos.owner
        configurations = [self._configurations[record.configuration] for record in effect.records]
        return [
            launch.task_info(
                configuration,
                self._sources(configuration),
                state.framework_id,
                record,
                (*resources, *launch.new_volumes(effect, record, owner)),
                known,
            )
            for configuration, record, resources in zip(configurations, effect.records, effect.resources, strict=True)
        ]


def _to_ask(state: State) -> Addresses:
    jobs: tuple[str, ...] = ()
    if state.wanted.journal is Journal.EMBEDDED:
        jobs = tuple(f"{record.hostname}:{record.ports['job_rpc']}" for record in masters(state))
    return Addresses(master_addresses(state), jobs)


def _to_poll(state: State) -> Targets:
    """The workers that have series of their own and are there, and the primary master."""
    registered = registered_workers(state.cache)
    workers = sorted((record for record in state.records.values() if record.kind is Kind.WORKER), key=in_order)
    primary = (record for record in masters(state) if master_address(record) == state.cache.primary)
    return Targets(
        next((f"{record.hostname}:{record.ports['web']}" for record in primary), ""),
        {
            record.slot: f"{record.hostname}:{record.ports['web']}"
            for record in workers[:WORKER_SERIES]
            if (record.hostname, record.ports.get("rpc", -1)) in registered
        },
    )


def _is_complete(state: State) -> bool:
    """Every worker that was launched is registered: nothing is to be waited for."""
    registered = registered_workers(state.cache)
    return state.cache.primary is not None and all(
        (record.hostname, record.ports.get("rpc", -1)) in registered
        for record in state.records.values()
        if record.kind is Kind.WORKER
    )
