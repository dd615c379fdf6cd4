"""What `vgg19_matconvnet.py` is built of: weights, their file, convolutions."""
