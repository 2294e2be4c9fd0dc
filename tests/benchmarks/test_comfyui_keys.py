"""Both ways to attend to a garment are the same attention."""

import pytest
import torch

from benchmarks.comfyui_keys import SelfAttention, main


@torch.inference_mode()
def test_kept_keys_give_what_appended_tokens_give() -> None:
    attention = SelfAttention(32)
    person, garment = torch.randn(2, 12, 32), torch.randn(2, 12, 32)
    appended = attention.appended(person, garment)
    kept = attention.kept(person, attention.key(garment), attention.value(garment))
    torch.testing.assert_close(kept, appended)
    assert not torch.allclose(appended, attention.appended(person, garment + 1))


def test_both_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    main(device="cpu", dtype="", sizes="64x64", repeats=1)
    assert "appended" in capsys.readouterr().out
