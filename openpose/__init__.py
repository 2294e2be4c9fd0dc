"""Image to body keypoints, with OpenPose's body network or BlazePose: a leaf, importing none of its
siblings.

skeleton: joints, limbs, colours. person: one person's keypoints. network: the torch module and its
weights; geometry, detect, decode: image to people with it. blazepose: the same with BlazePose, with
hands, feet and person masks; regions: where it looks. json_format, hands: OpenPose JSON and
ComfyUI's POSE_KEYPOINT. preview: stick figures.
"""

from .blazepose import BlazePose, WholePerson
from .detect import detect_people, network_input
from .json_format import frame_of, frames_of, load_people, people_of, save_people
from .network import BodyChannels, BodyNetwork, load_body_network, published_state_dict
from .person import Person
from .preview import draw_people
from .skeleton import Joint

__all__ = [
    "BlazePose",
    "BodyChannels",
    "BodyNetwork",
    "Joint",
    "Person",
    "WholePerson",
    "detect_people",
    "draw_people",
    "frame_of",
    "frames_of",
    "load_body_network",
    "load_people",
    "network_input",
    "people_of",
    "published_state_dict",
    "save_people",
]
