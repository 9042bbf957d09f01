from a1_recorder.settings import Settings
from a1_ros.parameters import settings_from, specs_of


def test_defaults_are_settings():
    settings = settings_from(Settings, {spec.name: spec.default for spec in specs_of(Settings)})
    assert settings.compression == "zstd"
    assert settings.extra_topics == ("",)
