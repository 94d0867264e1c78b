"""What can be chosen by name in modules that need TensorFlow, and what each choice means.

A script shows these in its `--help`, and refuses other names, before it imports TensorFlow. The
choices of a system stand in its `variants.py`.
"""

# networks
BACKBONES = (
    *("alexnet", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
    *("se_resnet50", "se_resnext50_32x4d"),
    *("resnet50", "densenet121", "inception_resnet_v2", "mobilenet_v2"),
    *("efficientnet_v2_b0", "efficientnet_v2_b1", "efficientnet_v2_b2", "efficientnet_v2_b3"),
)
NORMALIZATIONS = ("batch", "none")
TRUNK_TRAINING = {
    "full": "its weights learn, and batch norm uses the statistics of each batch",
    "fixed_statistics": "its weights learn, and batch norm keeps its statistics",
    "frozen": "nothing of it learns",
}

# data
CACHES = {  # of images
    "none": "images are read from the data set's files each time",
    "encoded": "the files' bytes of all images are kept in memory",
    "decoded": "images are decoded once, to whole numbers of the network's size, into a file of "
    "all stages and runs; the system keeps of it in memory what there is room for",
}

# training
STRATEGIES = ("one_device", "mirrored", "multi_worker")
PRECISIONS = ("float32", "tensor_float_32", "mixed_bfloat16", "mixed_float16")
OPTIMIZERS = {
    "sgd": "with momentum",
    "adam": "without weight decay",
    "adamw": "Adam with decoupled weight decay",
}
SCHEDULES = {
    "constant": "the same rate all the time",
    "cosine": "down to zero at the last step, after a warm-up",
    "steps": "multiplied by a factor every so many steps",
}
NEGATIVES = {  # of an edit
    "random": "any image that lacks the target, as in [Ak21]",
    "unedited": "an image with the anchor's values from before the edit",
    "one_edit": "an image one edit away from the target",
}
EPOCHS = {  # of training on edits
    "images": "one edit for every image",
    "edits": "one for every edit of every image, one attribute at a time",
}
NEGATIVES_OF = {  # a value, in triplets of one attribute
    "images": "all images labelled with another value, uniformly",
    "values": "another value, uniformly, and then an image of it",
}
RARE_VALUES = {
    "refuse": "an error that names them",
    "leave_out": "draw none of them as the value that two images share",
}

# systems
TASKS = {
    "manipulation": 'find "this one, but with a v-neck"',
    "attribute": 'find "one with a neckline like this"',
    "instance": "find this very item",
}
LEARNS_FROM = {  # vectors of attributes
    "triplets": "images that agree in an attribute and one that does not, as published",
    "values": "the values that each image is labelled with; ours",
}
MAP_SCALINGS = ("max", "min_max")
RANKING_LOSSES = {
    "triplet": "one positive against one negative (Eq. 8)",
    "softmax": "the positive against all images of the batch",
}
REDUCTIONS = ("mean", "sum")

# evaluation
PLANS = {
    "auto": "listed for the queries of a data set that lists edits, else all",
    "all": "every change whose target exists in the gallery",
    "listed": "the edits that the data set lists",
}
DRAW_OF_SEVERAL = 500  # manipulations of each set of attributes, where several change at once

# export
EXPORT_PRECISIONS = ("float32", "bfloat16", "float16")
