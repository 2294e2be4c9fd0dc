"""Paper dolls: a seeded generator of drawn people and garments, with everything known about them.

Photographs of one person in two garments are rare, and none may be shipped. Drawn people can: each
sample has the person, a flat garment picture, the label map, the keypoints, and the true picture of
that person in that garment. Drawing is fast enough to train without a data set.

body      builds, poses, joints
garments  cuts
patterns  cloth
canvas    painting
picture   people and flat garments
sample    what training and evaluation ask for
"""
