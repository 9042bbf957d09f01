from a1_policy_node.settings import Settings
from a1_ros.parameters import settings_from, specs_of


def test_defaults_are_settings():
    settings = settings_from(Settings, {spec.name: spec.default for spec in specs_of(Settings)})
    assert settings.mode == "adaptive"
    assert settings.deadline_s is None
