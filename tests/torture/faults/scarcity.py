"""Too little memory and too little processor time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.torture import cgroup
from tests.torture.arena import Arena
from tests.torture.faults.redis import hold_both
from tests.torture.house import ready, wait_dead
from tests.torture.orders import stumble
from tests.torture.scenario import fault

#: Burners per processor, each of which never rests.
BURNERS = 3


@fault("F23", "the kernel kills a worker that runs out of memory", short=1, long=8, missing=cgroup.missing)
def out_of_memory(arena: Arena, rounds: int) -> None:
    arena.judge.mode("delay_after:1")
    for _ in range(rounds):
        step = arena.random.choice(["cross.before", "cross.after", "answer.after"])
        order = stumble(step, "oom", nth=arena.random.randint(3, 12))
        [victim] = arena.house.hire(STUMBLE=order)
        with cgroup.memory(f"torture-{os.getpid()}-{arena.seed}", megabytes=160) as group:
            group.add(victim.pid)
            arena.ask(12)
            arena.ask(12, "sure")
            wait_dead(victim)
            arena.hit(victim, more=int(step != "cross.before"))
            arena.check(f"the kernel killed it: {victim.returncode}", victim.returncode == -9)
        arena.watch.mark()
        [heir] = arena.house.hire()
        arena.rest()
        heir.kill9()
    arena.house.hire()


@fault("F24", "workers get next to no processor time, with a lease of three seconds", short=1, long=6,
       env={"LEASE": "3s"}, limit=180)  # fmt: skip
def starved(arena: Arena, rounds: int) -> None:
    command = [sys.executable, "-c", "while True: pass"]
    for _ in range(rounds):
        workers = arena.house.hire(2)
        for worker in workers:
            for thread in Path(f"/proc/{worker.pid}/task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)
        burners = [subprocess.Popen(command) for _ in range(BURNERS * (os.cpu_count() or 1))]
        try:
            hold_both(arena)
            with arena.fault():
                arena.let_go()
                arena.ask(24)
                arena.ask(24, "sure")
                arena.last(6)
                arena.hit()
        finally:
            for burner in burners:
                burner.kill()
                burner.wait(10)
        arena.watch.mark()
        arena.rest()
        for worker in workers:
            worker.kill9()
    ready(arena.house.begin_worker())
