"""A small trunk of each kind, for tests that need not build all; `test_networks.py` goes through all."""

FAMILIES = (
    "conv4",
    "conv4-maxpool",
    "resnet18",
    "resnet50",
    "googlenet",
    "mobilenet-0.25",
    "mobilenetv2-0.35",
    "resnet8",
    "wrn-16-1",
    "resnet18-cifar",
    "vgg8",
    "vgg11-rkd",
    "shufflenetv2-0.5-cifar",
    "mobilenetv2-0.5-repdistiller",
    "shufflenetv1-repdistiller",
    "wrn-16-1-refilled",
)
