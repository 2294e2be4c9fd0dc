"""The paper's trainer of both UNets: from settings to a model folder that a try-on loads.

settings      TrainSettings: presets, TOML, overrides
trainer       a whole run: data, loop, checkpoints, validation pictures, curves
start         what it starts from: Stable Diffusion 1.5, or a try-on checkpoint
tryon         the loss, outfitting dropout, noise and timesteps
lora          trainable adapters of the attentions
data          batches of latents from a data set
latents, latent_cache
              a sample encoded, and kept on disk
loop          optimise, average, log, save, resume: shared by all trainings
states, log   what the loop saves to resume from, and its CSV log
lock          one training at a time in a folder
muon          an optimizer for small networks
validation    people of the test split dressed on the way
publishing    checkpoints in the published layout
curves        loss and PSNR as a PNG, and for TensorBoard
"""
