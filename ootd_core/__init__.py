"""OOTDiffusion's core: networks, fusion, conditioning, sampling, masks, images and weights.

Never imports ComfyUI, humanparse or openpose. The try-on, in reading order:

categories        what can be put on, and which variant of the networks does it
fusion            the garment's tokens, recorded in one UNet and attended to in the other
conditioning      the prompt: a label and the garment as CLIP sees it
latents           what the VAE encodes and decodes, and the agnostic person
sampling          the samplers and the denoising loop
request           person, garment, mask and settings of one try-on, checked
pipeline          all of it in order: a request in, pictures out

agnostic          which pixels to repaint: label map and keypoints in, mask out
reference_mask    the same as the original implementation computes it
labels, limbs     the label map's values; arms and legs as regions
masks             checking, growing and feathering a mask
images            pictures in and out, pasting back
fitting           any shape to 3:4, and the exact way back

weights           the catalogue of published files
weight_files, file_damage, checkpoint_files
                  reading one file; is it whole; which file is where
checkpoints       loading a folder into networks
checkpoint_writer writing networks into a folder
datasets          photographs and paper dolls as samples to train and evaluate on
training          paper dolls and the trainers that learn from them
"""
