"""TensorFlow, imported when it is first needed."""

import functools
from typing import Any


def import_tensorflow_datasets() -> Any:
    """Imports TensorFlow Datasets.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed; the message says what installs it.
    """
    import_tensorflow()
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ImportError(
            "Sets of TFDS are read through TensorFlow Datasets, which is not "
            'installed. This command installs it: pip install "vidjax[data]"'
        ) from error
    return tensorflow_datasets


@functools.cache
def import_tensorflow() -> Any:
    """Imports TensorFlow, which feeds clips and is shown no accelerator.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed; the message says what installs it.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "Training and evaluation read data through TensorFlow, which is not "
            'installed. This command installs it: pip install "vidjax[data]"'
        ) from error
    tf.config.set_visible_devices([], "GPU")
    return tf
