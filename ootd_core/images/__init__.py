"""Pictures: from files, onto the networks' canvas, and back into their originals.

files         reading and writing pictures and masks: `load_image`, `read_mask`, `save_image`
opening       a picture file opened: its format, size, damage
colours       its colours in sRGB; mask_pictures: the mask that it holds
fitting       any shape to 3:4, and the exact way back
compositing   pasting a result back into its original
comparison    PSNR, SSIM and colour error of two pictures
tensors       arrays to the networks' tensors and back
"""

from .compositing import overlay_mask, paste_back
from .files import as_image, check_targets, load_image, read_mask, save_image
from .fitting import Fit, fit_image, prepare_garment

__all__ = [
    "Fit",
    "as_image",
    "check_targets",
    "fit_image",
    "load_image",
    "overlay_mask",
    "paste_back",
    "prepare_garment",
    "read_mask",
    "save_image",
]
