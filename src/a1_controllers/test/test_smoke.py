from a1_controllers.mode import Mode, initial


def test_a_controller_starts_disarmed():
    assert initial(shadow=False, now_ns=0).mode is Mode.DISARMED
