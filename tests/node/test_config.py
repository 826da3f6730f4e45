"""What a config may say, and what it gets when it says something else."""

from __future__ import annotations

import errno
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.mesh.transport import TransportOptions
from netsky.node.config import KEYS, Config, LiveConfig, default_text, parse_config
from netsky.node.errors import NetskyError, Usage
from netsky.node.home import Home
from netsky.node.seams.real_files import RealFiles


def test_what_init_writes_reads_back_as_it_was_meant() -> None:
    relays = ("https://relay.example.org", "http://10.0.0.1:3340/")
    linked = Config(name="netsky7", link_bind="[::1]:0", link_relays=relays)
    for config in (
        Config(),
        Config(name="netsky7", label='a "quoted" \\ label', link_bind="127.0.0.1:0", log_mib=3, link_n0=True),
        linked,
    ):
        assert parse_config(default_text(config).encode(), "config.toml") == config


def test_the_transport_gets_what_the_config_says() -> None:
    text = "[link]\nbind = '0.0.0.0:7000'\nrelays = ['https://relay.example.org']"
    assert parse_config(text.encode(), "config.toml").transport == TransportOptions(
        "0.0.0.0:7000", ("https://relay.example.org",), n0=False
    )
    assert Config().transport == TransportOptions("0.0.0.0:0", (), n0=False), (
        "no relay and no discovery unless asked for"
    )


def test_every_key_stands_in_the_written_file_with_what_it_means() -> None:
    text = default_text(Config())
    for key in KEYS:
        assert f"# {key.comment}\n" in text
        assert tomllib.loads(text.replace(f"# {key.name} = ", f"{key.name} = "))[key.section][key.name] is not None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[node]\nnmae = 'netsky1'", "unknown key 'nmae' in [node]; known are name, label, local_work"),
        ("[nodes]\n", "has 'nodes', which is not one of its sections node, bus"),
        ("name = 'netsky1'", "has 'name', which is not one of its sections"),
        ("[node]\nname = 7", "[node] name: must be text"),
        ("[node]\nname = 'fred'", "[node] name: must be netsky and a number"),
        ("[node]\nname = 'netsky01'", "[node] name: must be netsky and a number"),
        ("[node]\nname = 'netsky10000'", "[node] name: ends at netsky9999"),
        ("[node]\nlocal_work = 1", "[node] local_work: must be true or false"),
        ("[bus]\ninbox_max = true", "[bus] inbox_max: must be a whole number"),
        ("[bus]\ninbox_max = 0", "[bus] inbox_max: must be from 1 to 100000"),
        ("[bus]\ninbox_max = 1.5", "[bus] inbox_max: must be a whole number"),
        ("[bus]\nsweep_ms = 49", "[bus] sweep_ms: must be from 50 to 10000"),
        ("[link]\nbind = '127.0.0.1'", '[link] bind: must be "address:port"'),
        ("[link]\nbind = ':99999'", '[link] bind: must be "address:port"'),
        ("[link]\nbind = 'localhost:7000'", '[link] bind: must be "address:port" with an IP address'),
        ("[link]\nheartbeat_ms = 99", "[link] heartbeat_ms: must be from 100 to 3000"),
        ("[link]\nheartbeat_ms = 2000", "[link] dead_after_ms: must be more than 4000, two heartbeats of 2000 ms"),
        ("[link]\ndead_after_ms = 3000", "[link] dead_after_ms: must be more than 3000, two heartbeats of 1500 ms"),
        ("[link]\ndead_after_ms = 9000", "[link] dead_after_ms: must be from 300 to 8000"),
        ("[link]\nn0 = 'yes'", "[link] n0: must be true or false"),
        ("[link]\nrelays = 'https://r.example'", "[link] relays: must be a list of at most 8 URLs"),
        ("[link]\nrelays = [1]", "[link] relays: each must be the URL of a relay"),
        ("[link]\nrelays = ['relay.example']", "[link] relays: each must be the URL of a relay"),
        ("[link]\nrelays = ['https://r.example/path']", "[link] relays: each must be the URL of a relay"),
        ("[link]\nrelays = ['https://r.example', 'https://r.example']", "[link] relays: names a relay twice"),
        ("[link]\nn0 = true\nrelays = ['https://r.example']", "[link] n0: is n0's relays, and relays names others"),
        ("[node]\nlabel = '" + "x" * 65 + "'", "[node] label: must be at most 64 printable"),
        ("[node", "is not TOML"),
        ("a" + "[" * 100_000, "is not TOML"),
        ("x = " + "[" * 10_000, "is not TOML"),
    ],
)
def test_a_wrong_config_is_told_the_file_the_key_and_the_rule(text: str, sentence: str) -> None:
    with pytest.raises(Usage) as caught:
        parse_config(text.encode(), "/h/config.toml")
    assert caught.value.message.startswith("/h/config.toml ")
    assert sentence in caught.value.message


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_in_another_way(data: bytes) -> None:
    with suppress(Usage):
        parse_config(data, "config.toml")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "config.toml").write_text("[bus]\ninbox_max = 5\n")
    return Home(str(tmp_path))


def test_the_last_good_version_stays_in_force_and_the_fault_is_kept_until_it_is_mended(home: Home) -> None:
    live = LiveConfig(home, RealFiles())
    file = Path(home.config)
    assert live.current.inbox_envelopes_max == 5
    assert not live.look()
    file.write_text("[bus]\ninbox_max = 'many'\n")
    assert live.look()
    assert live.current.inbox_envelopes_max == 5
    assert live.fault is not None
    assert "inbox_max: must be a whole number" in live.fault
    assert not live.look()
    file.write_text("[bus]\ninbox_max = 123\n")
    assert live.look()
    assert (live.current.inbox_envelopes_max, live.fault) == (123, None)
    file.unlink()
    assert live.look()
    assert live.current.inbox_envelopes_max == 123
    assert live.fault is not None


def test_what_cannot_be_looked_at_for_want_of_descriptors_is_seen_at_the_next_look(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveConfig(home, RealFiles())
    Path(home.config).write_text("[bus]\ninbox_max = 123\n")
    for method in ("open_folder", "read"):
        with monkeypatch.context() as short:

            def none_left(*_: object) -> int:
                raise OSError(errno.EMFILE, "Too many open files")

            short.setattr(RealFiles, method, none_left)
            assert not live.look()
        assert (live.current.inbox_envelopes_max, live.fault) == (5, None)
    assert live.look()
    assert live.current.inbox_envelopes_max == 123


def test_a_name_does_not_change_under_a_running_node(home: Home) -> None:
    live = LiveConfig(home, RealFiles())
    Path(home.config).write_text("[node]\nname = 'netsky5'\n")
    live.look()
    assert live.current.name == "netsky1"
    assert "netsky restart" in (live.fault or "")


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "huge"])
def test_a_config_that_is_no_plain_file_is_refused_and_not_waited_for(home: Home, kind: str) -> None:
    file = Path(home.config)
    file.unlink()
    match kind:
        case "fifo":
            import os

            os.mkfifo(file)
        case "link":
            file.symlink_to("/dev/zero")
        case "folder":
            file.mkdir()
        case "huge":
            file.write_bytes(b"#" * 1_000_000)
    with pytest.raises(NetskyError) as caught:
        LiveConfig(home, RealFiles())
    assert home.config in caught.value.message
