"""Runs the signatures of a SavedModel and compares them with what they should return.

A script of its own, `python check.py EXPORT CASES`, that imports TensorFlow and NumPy only:
what it can run, a server can run that has never heard of this package. CASES is a JSON list of
`{"signature", "images": [base64], "arrays": {name: [dtype, values]}, "outputs": {name: values}}`.
Prints JSON, `{"<signature>/<output>": largest difference}`, where a difference is relative to the
largest magnitude of that output, and infinite if the shapes differ.
"""

import base64
import json
import sys
from typing import Any

import numpy as np
import tensorflow as tf


def inputs_of(case: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Returns the tensors to call a signature with."""
    arrays = case["arrays"].items()
    inputs = {name: tf.constant(values, dtype) for name, (dtype, values) in arrays}
    if case["images"]:
        inputs["image_bytes"] = tf.constant([base64.b64decode(image) for image in case["images"]])
    return inputs


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest difference as a share of the largest magnitude."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    largest = max(float(np.abs(expected).max(initial=0.0)), 1e-12)
    return float(np.abs(found - expected).max(initial=0.0)) / largest


def compare(directory: str, cases: list[dict[str, Any]]) -> dict[str, float]:
    """Returns the largest difference of each output over all cases."""
    signatures = tf.saved_model.load(directory).signatures
    differences: dict[str, float] = {}
    for case in cases:
        outputs = signatures[case["signature"]](**inputs_of(case))
        for name in outputs.keys() | case["outputs"].keys():
            key = f"{case['signature']}/{name}"
            found = np.asarray(outputs.get(name, np.nan), np.float64)
            expected = np.asarray(case["outputs"].get(name, np.nan), np.float64)
            differences[key] = max(differences.get(key, 0.0), difference(found, expected))
    return differences


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        print(json.dumps(compare(sys.argv[1], json.load(file))))
