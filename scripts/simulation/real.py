def run_real(order):
    raise NotImplementedError
