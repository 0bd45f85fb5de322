"""Lists of class names that ship with vidjax, by the order of published classifiers."""

import difflib
import functools
import importlib.resources


@functools.cache
def read_labels(name: str) -> tuple[str, ...]:
    """Returns the class names of a data set, by label.

    "kinetics400" is in the order of label_map.txt of google-deepmind/kinetics-i3d,
    which all published Kinetics-400 classifiers share.

    Args:
        name: Name of the list.

    Returns:
        The names, [K].

    Raises:
        ValueError: If there is no such list; a near name is suggested.

    Example:
        >>> read_labels("kinetics400")[6]
        'arm wrestling'
    """
    folder = importlib.resources.files("vidjax.data") / "labels"
    known = sorted(
        file.name.removesuffix(".txt")
        for file in folder.iterdir()
        if file.name.endswith(".txt")
    )
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"No list of labels {name!r}; there are: {', '.join(known)}.{hint}"
        )
    text = (folder / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
