"""What every data set offers, split by split: labels, ids, images and examples to train on."""

import abc
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.example_table import fingerprint
from fashionsearchnet.data.preprocess import Images
from fashionsearchnet.networks.image_input import ImageInput, VectorInput, check_input


@dataclasses.dataclass(frozen=True)
class ListedEdits:
    """Edits that a data set publishes with its splits, in place of all that its gallery allows.

    Attributes:
      query: int32 `[M]`, positions in the split `query`.
      manipulation: int32 `[M, A]`, the wanted values, -1 to keep.
      target: int32 `[M, A]`, the labels that a hit has, -1 for missing. An edit may also take a
        value away, so this is not always the query's labels with the edit applied.
      source: where the list is from, for reports.
    """

    query: np.ndarray
    manipulation: np.ndarray
    target: np.ndarray
    source: str


@dataclasses.dataclass(frozen=True)
class ListedTriplets:
    """Triplets that a data set publishes for a split, N of them.

    Attributes:
      attribute: int32 `[N]`, the attribute that counts.
      anchor: int32 `[N]`, positions of images in the split.
      positive: int32 `[N]`, images that are closer to the anchor than the negative.
      negative: int32 `[N]`.
    """

    attribute: np.ndarray
    anchor: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


def check_instance_ids(instance_ids: Sequence[str], where: str) -> None:
    """Raises a ValueError if an image has no instance id: such images would pass for one item.

    Args:
      instance_ids: of the images, in order.
      where: the images, for the message.
    """
    if "" in instance_ids:
        raise ValueError(
            f"image {list(instance_ids).index('')} of {where} has no instance id; give each image "
            "the id of the item that it shows."
        )


class Dataset(abc.ABC):
    """A data set with the splits `train`, `validation`, `gallery` and `query`.

    A split is a name or anything of TFDS' slicing syntax, such as `validation[:20%]` or
    `train+validation`. All methods return the examples of a split in the same, stored order.

    Attributes:
      name: with its version, such as `catalogue/my_shop/1.0.0`.
      space: A attributes.
      has_boxes: whether the true place of each attribute is known.
      queries_in_gallery: whether every image of `query` is an image of `gallery` too.
      vector_input: of a data set of vectors that another model computed. A vector counts as an
        image, everywhere: its encoded form is in `encoded_images`. None for images.
    """

    name: str
    space: AttributeSpace
    has_boxes: bool = False
    queries_in_gallery: bool = False
    counts_products: bool = False
    vector_input: VectorInput | None = None

    @abc.abstractmethod
    def num_examples(self, split: str) -> int:
        """Returns the number of examples of a split; raises a ValueError for an unknown one."""

    @abc.abstractmethod
    def labels(self, split: str) -> np.ndarray:
        """Returns int32 `[num, A]`, -1 for missing."""

    @abc.abstractmethod
    def image_ids(self, split: str) -> list[str]:
        """Returns the ids of the images."""

    def check_seen_by(self, image_input: ImageInput, whose: str = "the model") -> None:
        """Raises a ValueError unless a model with this input can see what the data set holds."""
        check_input(image_input, self.vector_input, f"data set {self.name}", whose)

    def instance_ids(self, split: str) -> list[str] | None:
        """Returns for each image the id of the item that it shows; None if that is not known."""
        del split
        return None

    def columns(self, split: str) -> list[dict[str, str]] | None:
        """Returns what a shop shows of each image beside it, such as {"title": ..., "price": ...}.

        None if the data set has no such columns.
        """
        del split
        return None

    def boxes(self, split: str, image_input: ImageInput) -> np.ndarray | None:
        """Returns the true boxes on the network's input, float32 `[num, A, 4]`.

        ymin, xmin, ymax, xmax in 0..1, all -1 where an attribute has no place; None for a data
        set without boxes.
        """
        del split, image_input
        return None

    def listed_edits(self) -> ListedEdits | None:
        """Returns the edits that the data set publishes for its split `query`; None without."""
        return None

    def listed_triplets(self, split: str) -> ListedTriplets | None:
        """Returns the triplets that the data set publishes for a whole split; None without."""
        del split
        return None

    @abc.abstractmethod
    def encoded_images(self, split: str) -> tf.data.Dataset:
        """Returns the images' bytes as stored, one scalar string each: JPEG, PNG or a vector."""

    def image_fingerprints(self, split: str) -> np.ndarray:
        """Returns a number of the bytes of each image, int64 `[num]`, that differs if they do."""
        found = self.encoded_images(split).batch(1024).map(fingerprint)
        return np.concatenate(list(found.as_numpy_iterator()))

    @abc.abstractmethod
    def images(
        self, split: str, image_input: ImageInput, *, batch_size: int = 64
    ) -> tf.data.Dataset:
        """Returns batches of images, the last one smaller: Pixels, or a network's input.

        `preprocess.as_input` makes of Pixels what the network sees, float32 `[batch,
        *image_input.shape]`, on the device that the network runs on. Where images have to be
        resized and `image_input` does not round them, they are a network's input already.
        """

    @abc.abstractmethod
    def channel_means(self, split: str = "train") -> tuple[float, float, float]:
        """Returns the mean of red, green and blue in 0..255 over images of a split."""

    @abc.abstractmethod
    def image_loader(
        self, split: str, image_input: ImageInput
    ) -> Callable[[tf.Tensor, tf.Tensor], Images]:
        """Returns a function that loads images by their positions in a split, for tf.data.

        Args:
          split: see the class.
          image_input: what the network wants to see.

        Returns:
          (positions, mirrored) -> images: int32 `[n]` and bool `[n]` to n images as those of
          `images`.
        """

    @abc.abstractmethod
    def training_examples(
        self,
        split: str,
        image_input: ImageInput,
        *,
        global_batch_size: int,
        seed: int,
        first_step: int = 0,
        flip: bool = False,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Returns endless batches of {image, attributes} from step `first_step` on.

        The images are as those of `images`: `preprocess.as_input` makes of them what the network
        sees.

        The examples of a step depend on `seed` and the step only: a run that starts again at a
        step sees what it would have seen, and several workers share every batch of one order.
        Each epoch has its own order; a last incomplete batch of an epoch is filled from the next.

        Args:
          split: see the class.
          image_input: what the network wants to see.
          global_batch_size: images per step, over all replicas.
          seed: of the order and the flips.
          first_step: the step to start at.
          flip: mirror half of the images, drawn per example.
          context: of the input pipeline among several; batches are per replica then.
        """
