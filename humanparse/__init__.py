"""Human parsing: a picture of a person -> which body part or garment each pixel shows.

A leaf package: NumPy at import, onnxruntime and OpenCV when the first picture is parsed.

    parser      HumanParser: the two published networks as one function
    network     one ONNX network with its session
    preprocess  picture -> network input
    alignment   where the pixels of a picture lie in a network's frame
    postprocess class scores -> label map at the picture's size
    merge       filled upper clothes, neck: from two label maps to one
    labels      the label sets ATR and LIP
    preview     label map -> coloured picture
"""

from .labels import AtrLabel, LipLabel
from .parser import HumanParser
from .preview import colourise

__all__ = [
    "AtrLabel",
    "HumanParser",
    "LipLabel",
    "colourise",
]
