"""A checkpoint measured: on held-out dolls, or on a data set, paired and unpaired.

protocol       what every figure means
dolls          held-out dolls dressed, beside a ceiling and two ablations
try_ons        a data set dressed, its pictures kept for the next run
measurement    a data set dressed and judged
scores         the scores of a try-on and of a set
distances      FID and KID of two sets of feature vectors
features       feature vectors and LPIPS of pictures
inception, perceptual
               the two feature networks
feature_files  their weights: addresses, hashes, download
sweep          one setting over several values
report, plots  the figures as table, JSON and charts
"""
