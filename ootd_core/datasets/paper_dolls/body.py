"""Builds, poses and joints of a drawn person.

Lengths are in body heights. Every part of the body has a frame of three points; a shape drawn once
on the canonical body is carried to any pose by the affine map between the two frames of its part.
Joints follow the OpenPose-18 order; the person faces the viewer, so right is on the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]
Side = Literal["right", "left"]

NOSE, NECK = 0, 1
SHOULDER = {"right": 2, "left": 5}
ELBOW = {"right": 3, "left": 6}
WRIST = {"right": 4, "left": 7}
HIP = {"right": 8, "left": 11}
KNEE = {"right": 9, "left": 12}
ANKLE = {"right": 10, "left": 13}
EYE = {"right": 14, "left": 15}
EAR = {"right": 16, "left": 17}
OUTWARD: dict[Side, float] = {"right": -1.0, "left": 1.0}
SIDES: tuple[Side, Side] = ("right", "left")


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Proportions of a body, in body heights."""

    shoulder: float = 0.092
    hip: float = 0.062
    torso: float = 0.30
    upper_arm: float = 0.155
    forearm: float = 0.145
    thigh: float = 0.225
    shin: float = 0.215
    thickness: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """Angles in degrees from straight down, outward positive: (upper, lower) of each limb."""

    arms: dict[Side, tuple[float, float]]
    legs: dict[Side, tuple[float, float]]
    lean: float = 0.0
    head: float = 0.0


CANONICAL_BUILD = Build()
CANONICAL_POSE = Pose(
    arms={"right": (32.0, 32.0), "left": (32.0, 32.0)},
    legs={"right": (5.0, 5.0), "left": (5.0, 5.0)},
)
ARM_HABITS: tuple[tuple[float, tuple[float, float], tuple[float, float]], ...] = (
    # probability, range of the upper arm, range of the forearm relative to the body
    (0.46, (6.0, 24.0), (-4.0, 22.0)),  # hanging
    (0.14, (32.0, 48.0), (-42.0, -22.0)),  # hand on the hip
    (0.16, (38.0, 80.0), (30.0, 95.0)),  # held out
    (0.12, (112.0, 155.0), (125.0, 185.0)),  # raised
    (0.12, (8.0, 16.0), (-62.0, -30.0)),  # hand on the belly
)
CROSSED_ARMS = 0.05


def random_build(rng: np.random.Generator) -> Build:
    """Draw proportions around the canonical body."""
    scale = rng.uniform(0.93, 1.07, size=4)
    return Build(
        shoulder=0.092 * rng.uniform(0.88, 1.12),
        hip=0.062 * rng.uniform(0.88, 1.16),
        torso=0.30 * scale[0],
        upper_arm=0.155 * scale[1],
        forearm=0.145 * scale[1],
        thigh=0.225 * scale[2],
        shin=0.215 * scale[3],
        thickness=rng.uniform(0.86, 1.18),
    )


def random_pose(rng: np.random.Generator) -> Pose:
    """Draw a standing pose; each arm has its own habit, but arms cross only together."""
    if rng.random() < CROSSED_ARMS:
        forearm = rng.uniform(-108.0, -84.0)
        arms: dict[Side, tuple[float, float]] = {
            side: (rng.uniform(8.0, 16.0), forearm) for side in SIDES
        }
    else:
        arms = {side: _random_arm(rng) for side in SIDES}
    legs: dict[Side, tuple[float, float]] = {}
    for side in SIDES:
        thigh = rng.uniform(1.0, 9.0)
        legs[side] = (thigh, thigh + rng.uniform(-6.0, 3.0))
    return Pose(arms=arms, legs=legs, lean=rng.uniform(-4.0, 4.0), head=rng.uniform(-9.0, 9.0))


def _random_arm(rng: np.random.Generator) -> tuple[float, float]:
    habit = rng.choice(len(ARM_HABITS), p=[chance for chance, _, _ in ARM_HABITS])
    _, upper, lower = ARM_HABITS[int(habit)]
    return float(rng.uniform(*upper)), float(rng.uniform(*lower))


def _along(side: Side, degrees: float, length: float) -> Points:
    angle = np.deg2rad(degrees)
    return np.array([OUTWARD[side] * np.sin(angle), np.cos(angle)], np.float32) * length


def _rotated(points: Points, centre: Points, degrees: float) -> Points:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    return (points - centre) @ turn.T + centre


def joints(build: Build, pose: Pose) -> Points:
    """Return the 18 joints [18, 2] of a body whose neck is at (0, 0.2), in body heights."""
    points = np.zeros((18, 2), np.float32)
    points[NECK] = (0.0, 0.2)
    points[NOSE] = (0.0, 0.105)
    for side in SIDES:
        out = OUTWARD[side]
        points[EYE[side]] = (out * 0.022, 0.092)
        points[EAR[side]] = (out * 0.054, 0.1)
        points[SHOULDER[side]] = (out * build.shoulder, 0.205)
        points[HIP[side]] = (out * build.hip, 0.2 + build.torso)
        upper, lower = pose.arms[side]
        points[ELBOW[side]] = points[SHOULDER[side]] + _along(side, upper, build.upper_arm)
        points[WRIST[side]] = points[ELBOW[side]] + _along(side, lower, build.forearm)
        upper, lower = pose.legs[side]
        points[KNEE[side]] = points[HIP[side]] + _along(side, upper, build.thigh)
        points[ANKLE[side]] = points[KNEE[side]] + _along(side, lower, build.shin)
    head = [NOSE, *EYE.values(), *EAR.values()]
    points[head] = _rotated(points[head], points[NECK], pose.head)
    above_hips = [NECK, *head, *SHOULDER.values(), *ELBOW.values(), *WRIST.values()]
    hips = (points[HIP["right"]] + points[HIP["left"]]) / 2
    points[above_hips] = _rotated(points[above_hips], hips, pose.lean)
    return points


def frames(points: Points, thickness: float) -> dict[str, Points]:
    """Return three points [3, 2] for every part of a body with these joints.

    Limbs are spanned by their two joints and a perpendicular of fixed length times `thickness`;
    torso, pelvis and head by joints of both sides.
    """
    hips = (points[HIP["right"]] + points[HIP["left"]]) / 2
    knees = (points[KNEE["right"]] + points[KNEE["left"]]) / 2
    parts = {
        "torso": np.stack([points[SHOULDER["right"]], points[SHOULDER["left"]], hips]),
        "pelvis": np.stack([points[HIP["right"]], points[HIP["left"]], knees]),
        "head": np.stack([points[EAR["right"]], points[EAR["left"]], points[NECK]]),
    }
    for side in SIDES:
        chains = {
            "upper_arm": (SHOULDER[side], ELBOW[side]),
            "forearm": (ELBOW[side], WRIST[side]),
            "thigh": (HIP[side], KNEE[side]),
            "shin": (KNEE[side], ANKLE[side]),
        }
        for name, (start, end) in chains.items():
            parts[f"{side}_{name}"] = _limb_frame(points[start], points[end], thickness)
    return parts


def _limb_frame(start: Points, end: Points, thickness: float) -> Points:
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]], np.float32) * 0.1 * thickness
    return np.stack([start, end, start + across])


CANONICAL_JOINTS = joints(CANONICAL_BUILD, CANONICAL_POSE)
CANONICAL_FRAMES = frames(CANONICAL_JOINTS, 1.0)
