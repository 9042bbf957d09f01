from a1_model.config import tiny


def test_tiny_has_an_exit_at_the_last_block():
    config = tiny(vocab_size=10)
    assert config.exits[-1] == config.backbone.layers - 1
