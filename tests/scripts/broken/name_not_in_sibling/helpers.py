THRESHOLD = 0.5


def load_model():
    return None


def save_model():
    return None
