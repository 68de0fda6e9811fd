"""No two listeners of one machine have the same port."""

import re
from pathlib import Path

from vaxel import media
from vaxel.options import Settings
from vaxel.settings import _together

LISTENER = re.compile(r"--listen-(?:ng|http)=127\.0\.0\.1:([0-9]{1,5})")


def listeners(settings: Settings) -> list[int]:
    """Ports of every process: rtpengine's from its command line, the others' from the settings."""
    of_media = [int(found[1]) for node in range(settings.media_nodes)
                for word in media.command(Path("/nowhere"), settings, node)
                if (found := LISTENER.fullmatch(word))]
    assert len(of_media) == 2 * settings.media_nodes
    return [settings.sip_port, settings.tls_port, settings.api_port, settings.rpc_port,
            settings.keys_port, *settings.control_ports(), *settings.key_ports(), *of_media]


def test_default_ports_are_apart() -> None:
    settings = Settings()
    ports = listeners(settings)
    assert len(set(ports)) == len(ports), sorted(ports)
    assert set(ports) == set(settings.own_ports())
    assert not _together(settings)


def test_the_check_sees_every_listener() -> None:
    for nodes in range(1, 9):
        settings = Settings(media_nodes=nodes)
        ports = listeners(settings)
        assert bool(_together(settings)) == (len(set(ports)) < len(ports)), nodes
