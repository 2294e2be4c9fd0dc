"""OOTDiffusion's core: networks, fusion, conditioning, sampling, masks, images and weights.

Never imports ComfyUI, humanparse or openpose. In reading order:

categories    what can be put on, and which variant of the networks does it
fusion        the garment's tokens, recorded in one UNet and attended to in the other
conditioning  the prompt: a label and the garment as CLIP sees it
latents       what the VAE encodes and decodes, and the agnostic person
sampling      the samplers and the denoising loop
request       person, garment, mask and settings of one try-on, checked
pipeline      all of it in order: a try-on request in, pictures out

agnostic      which pixels to repaint: label map and keypoints in, mask out
labels        the label map's values
images        reading, fitting to 3:4, and pasting back at the original's size
weights       the catalogue of published files
checkpoints   finding, checking and loading a folder of networks
training      paper dolls and the trainers that learn from them
"""
