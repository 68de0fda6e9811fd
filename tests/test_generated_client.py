"""A client made by a generator from the document of a running exchange, and nothing else of ours,
builds a company; then a carrier calls it and a telephone answers.
"""

import asyncio
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.exchange import Exchange, Telephone, eventually
from tests.people import both, take
from tests.softphone import Carrier, Softphone
from vaxel.ports import free_port

NAME = "vaxel_client"
CARRIER = "127.0.0.77"
#: The generator takes files by this type only, and would format what it made.
CONFIG = """\
content_type_overrides:
  audio/*: application/octet-stream
  audio/flac: application/octet-stream
  audio/wav: application/octet-stream
  application/zip: application/octet-stream
  text/csv: application/octet-stream
  application/openmetrics-text; version=1.0.0; charset=utf-8: text/plain
post_hooks: []
"""


class Generated:
    """The generated package. do("config.create_user", 3, body=...): what it was answered."""

    def __init__(self, url: str, key: str) -> None:
        package = importlib.import_module(NAME)
        self.models: Any = importlib.import_module(f"{NAME}.models")
        self._client = package.AuthenticatedClient(base_url=url, token=key, timeout=20,
                                                   raise_on_unexpected_status=True)

    def do(self, operation: str, *ids: Any, **given: Any) -> Any:
        """One operation of the document, with success."""
        module = importlib.import_module(f"{NAME}.api.{operation}")
        answer = module.sync_detailed(*ids, client=self._client, **given)
        assert answer.status_code < 300, answer.content
        return answer.parsed


@pytest.fixture(scope="session")
def generated(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the generated package is."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yaml").write_text(CONFIG)
    settings = exchange.settings
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none",
         "--url", f"http://{settings.address}:{settings.api_port}/v1/openapi.json",
         "--config", str(folder / "config.yaml"), "--output-path", str(folder / NAME)],
        capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "WARNING" not in said and "Unable" not in said, said
    return folder


@pytest.fixture
def package(generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generated package can be imported."""
    monkeypatch.syspath_prepend(generated)


def test_the_client_has_every_operation(exchange: Exchange, generated: Path) -> None:
    made = {path.stem for path in (generated / NAME / "api").glob("*/*.py")} - {"__init__"}
    paths = exchange.client.get("/openapi.json")["paths"]
    assert made == {one["operationId"] for path in paths.values() for one in path.values()}


def test_a_company_and_its_first_call(exchange: Exchange, package: None) -> None:
    """What an order system would do, and what it is for."""
    settings = exchange.settings
    url = f"http://{settings.address}:{settings.api_port}"
    operator = Generated(url, settings.api_key)
    new = operator.models
    tenant = operator.do("config.create_tenant", body=new.NewTenant(name="Norrsken Bygg AB")).id
    port = free_port(CARRIER)
    trunk = operator.do("config.create_trunk", body=new.NewTrunk(
        name="Carrier", host=CARRIER, port=port, sources=[f"ip:{CARRIER}"], tenant=tenant)).id
    operator.do("config.create_route", body=new.NewRoute(trunk=trunk, tenant=tenant))
    key = operator.do("config.create_api_key", tenant, body=new.NewApiKey(
        name="Order system", role=new.NewApiKeyRole.ADMINISTRATOR)).key

    company = Generated(url, key)
    users = [company.do("config.create_user", tenant, body=new.NewUser(
        name=name, extension=extension)).id for name, extension in (("Anna", "101"), ("Bo", "102"))]
    devices = [company.do("config.create_device", tenant, body=new.NewDevice(
        user=user, name="Desk telephone", kind=new.NewDeviceKind.DESK,
        username=f"generated-{tenant}-{user}")) for user in users]
    group = company.do("config.create_ring_group", tenant, body=new.NewRingGroup(
        name="Switchboard", strategy=new.NewRingGroupStrategy.PARALLEL)).id
    for user in users:
        company.do("config.create_member", tenant, body=new.NewMember(ring_group=group, user=user))
    operator.do("config.create_allotment", tenant, body=new.NewAllotment(
        first="+46899900100", last="+46899900199"))
    main = company.do("config.create_number", tenant, body=new.NewNumber(
        e164="+46899900100", kind=new.NewNumberKind.MAIN,
        target=new.Target(kind=new.TargetKind.GROUP, group=group))).e164
    anna, bo = (Telephone(user, device.id, device.username, device.secret, extension)
                for user, device, extension in zip(users, devices, ("101", "102"), strict=True))

    async def call() -> None:
        async with Softphone(exchange, anna, 600) as one, Softphone(exchange, bo, 800) as two, \
                Carrier(exchange, CARRIER, port=port) as carrier:
            line = await carrier.dial(main)
            ringing, talking = await one.incoming(), await take(two)
            await line.answered()
            await both(line, talking)
            await ringing.ended()
            await line.hang_up()
            await talking.ended()

    asyncio.run(call())

    def recorded() -> Any:
        return company.do("calls.calls_of_tenant", tenant).items

    record, = eventually(recorded)
    assert (record.answerer, record.called) == (users[1], main)
