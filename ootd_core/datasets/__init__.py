"""Pictures to train and evaluate on, from any layout, as one kind of sample.

sample        what every data set yields, and what a data set is
open          open_dataset: a path, split, pairing and size in, a data set out
viton_hd, dress_code, folder, dolls
              the layouts, each described at the top of its module
pairs_file, label_maps, keypoints
              lists of pairs; label maps as ATR; joints as [18,3] in pixels
photographs   a listing of pairs as a data set
damage        what can be wrong with a sample's file
skipping      reading on past unusable samples, counted and reported
augment       paired flips and colours
hiding        the mask of a training sample, by the code of inference
checker       reads everything once and says what is wrong
"""
