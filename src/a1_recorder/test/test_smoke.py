from a1_recorder.settings import SPECS, settings_from


def test_defaults_are_settings():
    settings = settings_from({spec.name: spec.default for spec in SPECS})
    assert settings.compression == "zstd"
    assert settings.extra_topics == ("",)
