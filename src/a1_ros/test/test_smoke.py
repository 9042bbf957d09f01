from a1_ros.parameters import Change, ParameterSpec


def test_a_description_says_when_a_parameter_changes():
    spec = ParameterSpec(
        name="mode", default="a", description="A mode", choices=("a", "b"), change=Change.NEVER
    )
    descriptor = spec.descriptor()
    assert descriptor.read_only
    assert descriptor.additional_constraints == "one of a, b; changes only at start"
