"""RabbitMQ as the broker, Redis as the ledger: the same promises, and what RabbitMQ cannot do is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
import redis

from state.redis.keys import Keys
from tests.conftest import a_rabbitmq, a_valkey
from tests.effects.client import EffectServer
from tests.harness import GaveUp, Install, patient, until
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.shell import Shell
from workers.rabbitmq import queues

pytestmark = pytest.mark.slow  # a node of RabbitMQ needs some seconds to start

COUNTER, STORYTELLER = Keys("counter"), Keys("storyteller")
#: ms for which a worker may keep a message here; by default it is half an hour.
KEPT_MS = 4000
#: How often the same post is sent here.
ATTEMPTS = 5


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    server = a_rabbitmq(consumer_timeout=KEPT_MS, channel_tick_interval=1000)
    yield server
    server.close()


@pytest.fixture(scope="module")
def house(
    rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer
) -> Iterator[Install]:
    """Yield an installation whose messages go through RabbitMQ; nothing runs yet."""
    effect_server.clear()
    server = a_valkey()
    env = {
        "BROKER_URL": rabbitmq.url,
        "BROKER_API_URL": rabbitmq.api_url,
        "EFFECTS_URL": effect_server.base_url,
    }
    made = Install(
        tmp_path_factory.mktemp("house"), server.url, task_modules=("storyteller", "counter", "clerk"), env=env
    )
    yield made
    made.close()
    server.close()


@pytest.fixture
def running(house: Install) -> None:
    """Have one worker, from the test before if it still runs."""
    if not any(process.alive and process.name.startswith("worker") for process in house.processes):
        house.worker(concurrency=2)


@pytest.fixture
def stopped(house: Install, rabbitmq: RabbitMQ) -> None:
    """Have no worker, so that what is sent stays in the broker, which is empty."""
    for process in house.processes:
        process.kill9()
    until(lambda: rabbitmq.consumers() == 0, what="RabbitMQ to see that the workers are gone")
    rabbitmq.purge()


def pass_the_grace(store: redis.Redis, n: Keys, *calls: str) -> None:
    for call in calls:
        store.zadd(n.queued, {call: 1}, xx=True)


@pytest.mark.usefixtures("running")
def test_a_post_that_is_sent_five_times_is_published_once(
    house: Install, shell: Shell, effect_server: EffectServer
) -> None:
    calls = shell.delay("storyteller.publish", *[{"post_id": "hello"}] * ATTEMPTS)

    answers = [house.answer(call) for call in calls]

    assert {answer.get("error", "none") for answer in answers} <= {"none", "in progress"}
    assert effect_server.counts() == {"story:hello": 1}
    assert house.answer(house.call("counter.add", a=2, b=3))["result"] == 5


@pytest.mark.usefixtures("running")
def test_every_queue_of_calls_is_a_quorum_queue_with_a_limit_of_deliveries(rabbitmq: RabbitMQ) -> None:
    found = {each["name"]: each["arguments"] for each in rabbitmq.ask("queues")}

    assert found["celery"] == queues.ARGUMENTS
    assert (found["celery"]["x-queue-type"], found["celery"]["x-delivery-limit"]) == ("quorum", 20)
    assert found[queues.DEAD]["x-queue-type"] == "quorum"
    assert not [name for name in found if "delayed" in name]


@pytest.mark.usefixtures("running")
def test_a_delay_is_kept_in_the_register(house: Install, shell: Shell, rabbitmq: RabbitMQ) -> None:
    call = shell.run("answer = app.tasks['counter.add'].apply_async(kwargs={'a': 1, 'b': 1}, countdown=0.5).id")

    assert house.answer(call)["result"] == 2
    assert rabbitmq.waiting() == 0


@pytest.mark.usefixtures("running")
def test_remote_commands_reach_the_worker(house: Install) -> None:
    answered = house.celery("inspect", "ping", "--timeout", "5", "--json")

    assert answered.returncode == 0, answered.stderr
    assert "pong" in answered.stdout


@pytest.mark.usefixtures("stopped")
def test_a_call_whose_message_was_lost_is_sent_again_and_ends(
    house: Install, shell: Shell, store: redis.Redis, rabbitmq: RabbitMQ, effect_server: EffectServer
) -> None:
    effect_server.clear()
    [call] = shell.delay("storyteller.publish", {"post_id": "lost"})
    assert rabbitmq.purge() == 1
    pass_the_grace(store, STORYTELLER, call)

    house.worker(concurrency=2)

    assert house.answer(call)["ok"]
    assert effect_server.counts() == {"story:lost": 1}
    assert store.hget(STORYTELLER.call(call), "sends") == "1"


@pytest.mark.usefixtures("stopped")
def test_a_backlog_is_counted_and_not_multiplied(
    house: Install, shell: Shell, store: redis.Redis, rabbitmq: RabbitMQ
) -> None:
    """The worker of another queue sweeps, and sees that messages wait."""
    backlog = shell.delay("counter.add", *[{"a": number, "b": 0} for number in range(20)])
    assert rabbitmq.waiting() == 20
    depth = shell.run(
        "import settings; from state import health; answer = health.queue_depth(settings.current().broker_url)"
    )
    assert depth == 20
    pass_the_grace(store, COUNTER, *backlog)
    sweeper = house.worker(queues="elsewhere")
    late = shell.run(
        "answer = app.tasks['clerk.remember'].apply_async(args=['x', 1], countdown=0.1, queue='elsewhere').id"
    )
    assert house.answer(late)["ok"]

    assert rabbitmq.waiting() == 20
    assert all(store.hget(COUNTER.call(call), "sends") is None for call in backlog)

    sweeper.kill9()
    house.worker(concurrency=4)
    assert [house.answer(call)["result"] for call in backlog] == [*range(20)]


@pytest.mark.usefixtures("stopped")
def test_a_message_that_keeps_coming_back_is_put_aside_and_its_call_is_sent_again(
    house: Install, shell: Shell, store: redis.Redis, rabbitmq: RabbitMQ
) -> None:
    [call] = shell.delay("counter.add", {"a": 4, "b": 5})
    with rabbitmq.channel() as channel:
        for _ in range(queues.DELIVERY_LIMIT + 1):
            message = until(lambda: channel.basic_get("celery"), what="the message to come back")
            channel.basic_reject(message.delivery_tag, requeue=True)
        until(lambda: rabbitmq.waiting(queues.DEAD) == 1, what="the message to be put aside")
    assert rabbitmq.waiting() == 0
    pass_the_grace(store, COUNTER, call)

    house.worker(concurrency=2)

    assert house.answer(call)["result"] == 9
    [found] = [row for row in house.celery("gate", "doctor").stdout.splitlines() if "dead letters" in row]
    assert "1 messages" in found
    rabbitmq.purge(queues.DEAD)


@pytest.mark.usefixtures("running")
def test_a_task_that_outlasts_the_consumer_timeout_does_not_end_its_worker(house: Install, shell: Shell) -> None:
    """RabbitMQ closes the channel, and plain Celery then ends the worker."""
    worker = house.processes[-1]
    [call] = shell.delay("counter.sleepy", {"seconds": 2.5 * KEPT_MS / 1000, "name": "long"})
    until(lambda: "delivery acknowledgement on channel" in worker.output, 30, "RabbitMQ to lose its patience")

    assert house.answer(house.call("counter.add", a=3, b=3), 30)["result"] == 6
    assert house.answer(call, 30)["ok"]
    assert house.notes("long") == [str(worker.pid)]
    assert worker.alive


def test_a_priority_is_refused_with_what_to_do_instead(shell: Shell) -> None:
    said = shell.run(
        """
        try:
            app.tasks["counter.add"].apply_async(args=[1, 2], priority=3)
        except Exception as error:
            answer = str(error)
        """
    )

    assert "first in, first out" in said
    assert "queue=" in said


#: What any program may put into the queue, with its properties.
STRANGE: list[tuple[bytes, dict[str, Any]]] = [
    (b"plain text", {}),
    (b"\xff\xfe\x00", {"content_type": "application/json"}),
    (b"[" * 100_000, {"content_type": "application/json", "application_headers": {"task": "counter.add", "id": "x"}}),
    (b"[[], {}, {}]", {"content_type": "application/json", "application_headers": {"task": ["x"], "id": 7}}),
    (b"[[], {}, {}]", {"content_type": "application/json", "application_headers": {"task": "no.such", "id": "x"}}),
    (b"x\x9c", {"content_type": "application/json", "application_headers": {"compression": "application/x-gzip"}}),
    (b"{}", {"content_type": b"\xff\xfe"}),
    (b"", {"correlation_id": b"\xff\xfe"}),
    (b"0" * (8 * 1024 * 1024 + 1), {"content_type": "application/json"}),
]


@pytest.mark.usefixtures("running")
def test_messages_of_strangers_are_dropped_and_the_worker_goes_on(house: Install, rabbitmq: RabbitMQ) -> None:
    worker = house.processes[-1]
    before, lost = len(worker.events("message dropped")), worker.output.count("broker lost")

    for body, properties in STRANGE:
        rabbitmq.publish(body, **properties)

    until(lambda: len(worker.events("message dropped")) - before >= len(STRANGE), what="each to be dropped")
    assert house.answer(house.call("counter.add", a=1, b=1))["result"] == 2
    until(lambda: rabbitmq.waiting() == 0, what="an empty queue")
    assert worker.alive
    assert len(worker.events("properties dropped")) == 2
    assert worker.output.count("broker lost") == lost


@pytest.mark.usefixtures("running")
def test_flower_shows_the_length_of_the_queue(house: Install) -> None:
    house.flower()

    def lengths() -> Any:
        with build_opener(ProxyHandler({})).open(
            f"{house.flower_url}/api/queues/length", timeout=patient(20)
        ) as answer:
            return [each for each in json.load(answer)["active_queues"] if each["name"] == "celery"]

    [found] = until(lengths, 20, "Flower to know the queue")
    assert found["messages"] >= 0


@pytest.mark.usefixtures("running")
def test_doctor_tells_how_rabbitmq_is_set_up(house: Install) -> None:
    rows = {row["check"]: row for row in json.loads(house.celery("gate", "doctor", "--json").stdout)}

    assert rows["broker connection"]["ok"]
    assert rows["broker version"]["found"].startswith("RabbitMQ 3.")
    assert "quorum" in rows["broker queue"]["found"]
    assert "consumer_timeout = 86400000" in rows["consumer timeout"]["found"]
    assert "BROKER_API_URL" in rows["broker API"]["found"]


def test_doctor_tells_that_a_queue_of_another_kind_is_in_the_way(house: Install, rabbitmq: RabbitMQ) -> None:
    rabbitmq.ask("vhosts/other", method="PUT")
    rabbitmq.ask("queues/other/celery", {"durable": True}, method="PUT")

    found = doctor(house, f"{rabbitmq.url}other")["broker queue"]

    assert not found["ok"]
    assert "inequivalent arg" in found["found"]
    assert "delete the queue celery" in found["change"]


def test_a_worker_whose_queue_is_of_another_kind_ends_and_says_why(house: Install, rabbitmq: RabbitMQ) -> None:
    rabbitmq.ask("vhosts/third", method="PUT")
    rabbitmq.ask("queues/third/celery", {"durable": True}, method="PUT")
    other = Install(
        house.folder / "third", house.redis_url, task_modules=(), env={"BROKER_URL": f"{rabbitmq.url}third"}
    )

    with pytest.raises(GaveUp, match="inequivalent arg"):
        other.worker()

    [worker] = other.processes
    [said] = worker.events("broker refuses")
    assert "doctor" in said["hint"]
    assert worker.wait() != 0
    other.close()


def test_doctor_tells_that_rabbitmq_is_away(house: Install) -> None:
    found = doctor(house, "amqp://127.0.0.1:1/")["broker connection"]

    assert not found["ok"]
    assert "amqp://127.0.0.1:1" in found["found"]


def test_metrics_of_the_ledger_are_shown_while_rabbitmq_is_away(house: Install) -> None:
    other = Install(house.folder / "other", house.redis_url, task_modules=(), env={"BROKER_URL": "amqp://127.0.0.1:1/"})

    named = other.json_of("""
        import json
        from web.metrics import installation
        print(json.dumps([each.name for each in installation.samples(())]))
    """)
    other.close()

    assert "redis_keys" in named
    assert "broker_messages" not in named


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("localhost:{port}/?ssl_ca_certs={authority}", ""),
        ("localhost:{port}/", "self-signed certificate"),
        ("127.0.0.1:{port}/?ssl_ca_certs={authority}", "IP address mismatch"),
    ],
)
def test_tls_is_checked_by_each_client(house: Install, rabbitmq: RabbitMQ, place: str, problem: str) -> None:
    url = f"amqps://{place.format(port=rabbitmq.tls_port, authority=rabbitmq.authority)}"
    encrypted = Install(house.folder / "encrypted", house.redis_url, task_modules=("counter",), env={"BROKER_URL": url})

    said = encrypted.json_of("""
        import json, settings
        from state import health
        from state.errors import StoreError
        try:
            with app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1)
            of_celery = ""
        except Exception as error:
            of_celery = str(error)
        try:
            health.queue_depth(settings.current().broker_url)
            ours = ""
        except StoreError as error:
            ours = str(error)
        print(json.dumps([of_celery, ours]))
    """)
    encrypted.close()

    assert all(problem in each for each in said) if problem else said == ["", ""], said


def doctor(house: Install, broker: str) -> dict[str, Any]:
    """Return what the doctor says of another broker, by check."""
    other = Install(house.folder / "other", house.redis_url, task_modules=(), env={"BROKER_URL": broker})
    try:
        return {row["check"]: row for row in json.loads(other.celery("gate", "doctor", "--json").stdout)}
    finally:
        other.close()
