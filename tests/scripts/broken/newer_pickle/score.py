import os
import pickle


def init():
    global model
    model = pickle.load(open(os.path.join(os.path.dirname(__file__), "model.pkl"), "rb"))


def run(data):
    return data
