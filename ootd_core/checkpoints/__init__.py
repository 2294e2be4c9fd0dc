"""Model folders: which files they hold, where, whether they are whole, and what is loaded of them.

catalogue     every published file: name, revision, hash, licence
locating      the parts of a model folder: found and verified, without loading a network
verification  what is wrong with the files of a part: for the doctor and for a try-on
integrity     is a file whole, is it what its name says, is it still the same
reading       one weights file: tensors, or their shapes from the header
modules       torch modules built from config.json and filled key by key
clip_towers   CLIP's two towers, tokenizer and image processor
networks      `Networks`: everything that a try-on needs, as diffusers and transformers modules
lora          LoRA files, and their weights added to both UNets
writing       a model folder written
whole_files   any file written whole or not at all; is a place fit to be written to
"""
