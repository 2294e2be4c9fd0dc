"""The tables agree with one another."""

from ootd_core.masks.limbs import JOINTS as CORE_JOINTS
from openpose.skeleton import (
    AFFINITY_MAPS,
    BODY_25_ROWS,
    COLOURS,
    FOUNDING_LIMBS,
    JOINTS,
    LIMBS,
    Joint,
)


def test_joints_are_those_of_the_core() -> None:
    """The leaf and the core import nothing of each other, so each has its own table."""
    assert [joint.name.lower().replace("_", " ") for joint in Joint] == list(CORE_JOINTS)


def test_every_affinity_map_belongs_to_one_limb() -> None:
    channels = sorted(channel for limb in LIMBS for channel in (limb.channel, limb.channel + 1))
    assert channels == list(range(AFFINITY_MAPS))


def test_limbs_that_are_drawn_form_one_tree() -> None:
    reached = {Joint.NECK}
    for _ in LIMBS:
        reached |= {limb.end for limb in LIMBS[:FOUNDING_LIMBS] if limb.start in reached}
    assert len(reached) == JOINTS == FOUNDING_LIMBS + 1


def test_tables_have_a_row_for_each_joint() -> None:
    assert len(Joint) == len(COLOURS) == len(set(COLOURS)) == len(set(BODY_25_ROWS)) == JOINTS
