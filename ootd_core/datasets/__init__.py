"""Pictures to train and evaluate on, from any layout, as one kind of sample.

sample        what every data set yields, and what a data set is
open          open_dataset: a path, split, pairing and size in, a data set out
viton_hd, dress_code, folder, dolls
              the layouts, each described at the top of its module
pairs_file, label_maps, keypoints
              lists of pairs; label maps as ATR; joints as [18, 3] in pixels
file_names    files under the names of a list, whatever their capitals and endings
photographs   a listing of pairs as a data set
usable_samples
              the samples that can be used; the others are counted and reported
augmentation  flips and colours, of person and garment together
sample_masks  what of a sample is hidden: the mask of inference, in training at times larger
dressing      a sample dressed as inference would dress it
checker       reads everything once and says what is wrong
paper_dolls/  drawn people with everything known about them
"""
