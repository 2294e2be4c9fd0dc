from ootd_core.training.phases import Phase, phase_of

SMALL = Phase(steps=3, batch=4, height=64, width=48)
LARGE = Phase(steps=2, batch=2, height=128, width=96)


def test_phases_follow_each_other_and_the_last_goes_on() -> None:
    found = [phase_of((SMALL, LARGE), step) for step in range(7)]
    assert [phase.height for phase, _ in found] == [64, 64, 64, 128, 128, 128, 128]
    assert [within for _, within in found] == [0, 1, 2, 0, 1, 2, 3]
