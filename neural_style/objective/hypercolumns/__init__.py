"""Style transfer by relaxed optimal transport and self-similarity: sampled hypercolumns.

Kolkin, Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and
Self-Similarity", CVPR 2019 (arXiv:1904.12785), as in the authors' code. A hypercolumn is the colour
and the features of all layers at a place, joined. Places are drawn anew for each iterate.

places     which places are drawn, and what a picture has there
distances  the losses, each a function of hypercolumns
columns    the graph that compares them, and the variables of its targets
targets    the targets, measured
"""
