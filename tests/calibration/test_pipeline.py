def test_x(make_request, spec, silent):
    from a1_calibration.pipeline import calibrate
    import time
    t=time.time()
    o = calibrate(make_request(), spec, silent)
    print(o.message, o.samples, time.time()-t)
