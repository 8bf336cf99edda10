from sklearn.externals import joblib


def init():
    pass


def run(data):
    return data
