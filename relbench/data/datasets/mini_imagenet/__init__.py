"""miniImageNet: 100 classes of ImageNet at 84 px, in the six layouts in which people have it."""
