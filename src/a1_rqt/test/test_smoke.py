from a1_rqt.history import Ring


def test_the_newest_row_is_the_last():
    ring = Ring(("layer",), capacity=2)
    for layer in (3, 4, 5):
        ring.append((layer,))
    assert list(ring.column("layer")) == [4, 5]
