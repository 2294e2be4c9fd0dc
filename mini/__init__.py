"""Everything that makes the small bundled checkpoint, from nothing but drawn people.

autoencoder   the VAE
networks      the untrained parts: both UNets, CLIP towers, tokenizer, noise schedule
parser        the human parser pair, exported to ONNX
pose          the pose network
decoder       the VAE's decoder once more, on what the UNets make
doll_latents  paper dolls as latents: a growing set, small pictures first
recipe        the stages: what is trained, on which dolls, for how long and how fast
"""
