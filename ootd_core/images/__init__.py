"""Pictures: from files, onto the networks' canvas, and back into their originals.

files         reading and writing pictures and masks: `load_image`, `load_mask`, `save_image`
opening       a picture file opened: its format, size, damage
colours       its colours in sRGB; mask_pictures: the mask that it holds
fitting       any shape to 3:4, and the exact way back
compositing   pasting a result back into its original
comparison    PSNR, SSIM and colour error of two pictures
tensors       arrays to the networks' tensors and back
"""

from .files import load_image, load_mask, save_image

__all__ = ["load_image", "load_mask", "save_image"]
