"""Lists of class names."""

import pytest

from vidjax.data.labels import read_labels


def test_kinetics_has_its_400_classes_in_the_published_order():
    names = read_labels("kinetics400")

    assert len(set(names)) == len(names) == 400
    # Indices in label_map.txt of google-deepmind/kinetics-i3d.
    places = {"abseiling": 0, "arm wrestling": 6, "zumba": 399}
    assert {name: names.index(name) for name in places} == places
    assert list(names) == sorted(names)


def test_an_unknown_list_suggests_a_near_one():
    with pytest.raises(ValueError, match="Did you mean 'kinetics400'"):
        read_labels("kinetics40")
