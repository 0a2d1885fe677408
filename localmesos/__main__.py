"""The command line: `python -m localmesos master …` and `python -m localmesos agent …`, one process each."""

from __future__ import annotations

import argparse
import asyncio
import errno
import ipaddress
import logging
import signal
import sys
import time
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    LOST_LEADERSHIP = 1
    WRONG_ARGUMENT = 2
    PORT_TAKEN = 3
    NOT_REACHED = 4
    INCOMPATIBLE_WORK_FOLDER = 5
    ENDED_BY_MASTER = 6


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m localmesos", description="A Mesos for one machine, for development.")
    kinds = top.add_subparsers(dest="kind", required=True)
    master = kinds.add_parser("master", help="run a master")
    _common(master, 5050)
    master.add_argument("--zookeeper", metavar="HOST:PORT/PATH", help="elect a leader among several masters")
    master.add_argument(
        "--registry", type=Path, metavar="FILE", help="what several masters share (a file in the work folder)"
    )
    master.add_argument("--heartbeat-seconds", type=float, default=15.0)
    master.add_argument("--agent-ping-timeout-seconds", type=float, default=15.0)
    master.add_argument("--max-agent-ping-timeouts", type=int, default=5)
    master.add_argument("--agent-reregister-timeout", type=float, default=600.0, metavar="SECONDS")
    master.add_argument("--offer-interval", type=float, default=1.0, metavar="SECONDS")
    master.add_argument("--credentials", type=Path, metavar="FILE", help="schedulers must authenticate")
    agent = kinds.add_parser("agent", help="run an agent")
    _common(agent, 5051)
    agent.add_argument("--master", required=True, metavar="HOST:PORT | zk://HOST:PORT/PATH")
    agent.add_argument(
        "--resources", required=True, help="for example 'cpus:4;mem:4096;disk:10000;ports:[31000-31100]'"
    )
    agent.add_argument("--attributes", default="", help="for example 'rack:r1;zone:a'")
    agent.add_argument("--executor-shutdown-grace", type=float, default=5.0, metavar="SECONDS")
    agent.add_argument("--executor-registration-timeout", type=float, default=60.0, metavar="SECONDS")
    agent.add_argument("--executor-reregistration-timeout", type=float, default=2.0, metavar="SECONDS")
    agent.add_argument("--recovery-timeout", type=float, default=900.0, metavar="SECONDS")
    agent.add_argument("--update-retry-seconds", type=float, default=10.0)
    return top


def _common(part: argparse.ArgumentParser, port: int) -> None:
    part.add_argument("--ip", type=_loopback, default="127.0.0.1", help="a loopback address (%(default)s)")
    part.add_argument("--port", type=int, default=port, help="(%(default)s)")
    part.add_argument("--hostname", default="", help="told to others (the address)")
    part.add_argument(
        "--domain",
        default="",
        metavar="JSON",
        help='for example \'{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}\'',
    )
    part.add_argument("--work-dir", type=Path, required=True)
    part.add_argument("--start-in", type=float, default=0.0, metavar="SECONDS", help="do nothing until then (0)")


def _loopback(text: str) -> str:
    """Whoever reaches these ports may start programs."""
    try:
        if ipaddress.IPv4Address(text).is_loopback:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is no loopback address (127.0.0.0/8); nothing here is protected")


async def run_master(arguments: argparse.Namespace) -> Exit:
    from localmesos.faults_api import crash
    from localmesos.master import Master, MasterSettings

    master = Master(
        MasterSettings(
            ip=arguments.ip,
            port=arguments.port,
            work_dir=arguments.work_dir,
            hostname=arguments.hostname,
            domain=arguments.domain,
            zookeeper=arguments.zookeeper,
            heartbeat_seconds=arguments.heartbeat_seconds,
            agent_ping_timeout_seconds=arguments.agent_ping_timeout_seconds,
            max_agent_ping_timeouts=arguments.max_agent_ping_timeouts,
            agent_reregister_timeout_seconds=arguments.agent_reregister_timeout,
            offer_interval_seconds=arguments.offer_interval,
            credentials=arguments.credentials,
            registry=arguments.registry,
        )
    )
    ended = _signal(signal.SIGTERM, signal.SIGINT)
    await master.start()
    await _first(ended, master.lost_leadership, master.crashing)
    if master.crashing.is_set():
        crash(master.returns_in)
    await master.stop()
    return Exit.LOST_LEADERSHIP if master.lost_leadership.is_set() else Exit.DONE


async def run_agent(arguments: argparse.Namespace) -> Exit:
    from localmesos.agent import Agent, AgentSettings
    from localmesos.faults_api import crash

    agent = Agent(
        AgentSettings(
            master=arguments.master,
            ip=arguments.ip,
            port=arguments.port,
            work_dir=arguments.work_dir,
            resources=arguments.resources,
            attributes=arguments.attributes,
            hostname=arguments.hostname,
            domain=arguments.domain,
            executor_shutdown_grace_seconds=arguments.executor_shutdown_grace,
            executor_registration_timeout_seconds=arguments.executor_registration_timeout,
            executor_reregistration_timeout_seconds=arguments.executor_reregistration_timeout,
            recovery_timeout_seconds=arguments.recovery_timeout,
            update_retry_seconds=arguments.update_retry_seconds,
        )
    )
    ended, shut_down = _signal(signal.SIGTERM, signal.SIGINT), _signal(signal.SIGUSR1)
    await agent.start()
    await _first(ended, shut_down, agent.ended, agent.crashing)
    if agent.crashing.is_set():
        crash(agent.returns_in)
    if shut_down.is_set():
        await agent.shut_down()
    else:
        await agent.stop()
    return Exit.ENDED_BY_MASTER if agent.ended.is_set() else Exit.DONE


def _signal(*numbers: signal.Signals) -> asyncio.Event:
    event = asyncio.Event()
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def main() -> int:
    arguments = parser().parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    log = logging.getLogger(arguments.kind)
    time.sleep(arguments.start_in)
    try:
        return asyncio.run(run_master(arguments) if arguments.kind == "master" else run_agent(arguments))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            log.error(
                "Address %s:%d is in use by another process: free it, or give another --ip or --port.",
                arguments.ip,
                arguments.port,
            )
            return Exit.PORT_TAKEN
        log.error("%s.", error)
        return Exit.NOT_REACHED
    except ValueError as error:
        log.error("%s.", error)
        return Exit.INCOMPATIBLE_WORK_FOLDER if "work folder" in str(error) else Exit.WRONG_ARGUMENT


if __name__ == "__main__":
    sys.exit(main())
