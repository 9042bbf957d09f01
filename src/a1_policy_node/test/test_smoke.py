from a1_policy_node.settings import SPECS, settings_from


def test_defaults_are_settings():
    settings = settings_from({spec.name: spec.default for spec in SPECS})
    assert settings.mode == "adaptive"
    assert settings.deadline_s is None
