"""An export in the C++ loader of TensorFlow's wheel, which TensorFlow Serving is built on."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from exported import export_tiny, tiny_system
from fakes import SPACE

from fashionsearchnet.data import preprocess
from fashionsearchnet.export.cases import sample_images

SOURCE = Path(__file__).parents[1] / "cpp" / "load_saved_model.cc"


@pytest.fixture(scope="module")
def program(pytestconfig):
    """The compiled program; kept between test runs, since compiling it takes ten seconds."""
    library = tf.sysconfig.get_lib()
    if not shutil.which("g++") or not Path(library, "libtensorflow_cc.so.2").exists():
        pytest.skip("needs g++ and the libtensorflow_cc.so.2 of TensorFlow's wheel")
    key = hashlib.sha256(SOURCE.read_bytes() + tf.__version__.encode() + library.encode())
    path = pytestconfig.cache.mkdir("cpp") / f"load_saved_model-{key.hexdigest()[:16]}"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        # --no-as-needed: kernels register themselves, so that nothing refers to their library.
        libraries = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]
        command = [
            *("g++", "-w", "-O1", str(SOURCE), "-o", str(unfinished)),
            *tf.sysconfig.get_compile_flags(),
            *(f"-L{library}", "-Wl,--no-as-needed", *(f"-l:{name}" for name in libraries)),
            f"-Wl,-rpath,{library}",
        ]
        subprocess.run(command, check=True)
        unfinished.rename(path)
    return path


def test_the_cpp_loader_gives_the_numbers_of_python(program, tmp_path):
    folder, (image,) = export_tiny(tmp_path / "exports"), sample_images(40, 1)
    (tmp_path / "image.jpg").write_bytes(image)
    command = [program, folder, tmp_path / "image.jpg", str(SPACE.num_attributes)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    system = tiny_system()
    picture = preprocess.load_image(tf.constant(image), system.image_input)
    expected = system.encode_gallery(picture[None]).numpy()[0]
    found = np.array(done.stdout.split(), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)
