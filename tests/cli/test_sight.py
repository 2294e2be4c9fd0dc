import pytest

from cli import sight as command
from mini.sight import Seen
from tryon.perception import PersonNetworks


def test_the_command_looks_at_held_out_dolls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked: list[list[int]] = []
    look = command.look

    def recorded(networks: PersonNetworks, seeds: range) -> list[Seen]:
        looked.append(list(seeds))
        return look(networks, seeds)

    monkeypatch.setattr(command, "look", recorded)
    command.sight_command(dolls=1, first=3)
    assert looked == [[3]]
    said = capsys.readouterr().out
    assert "nose  " in said and "left arm  " in said, said
