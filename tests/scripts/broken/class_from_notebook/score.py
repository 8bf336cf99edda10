import os
import pickle


def init():
    global model
    with open(os.path.join(os.path.dirname(__file__), "model.pkl"), "rb") as file:
        model = pickle.load(file)


def run(data):
    return data
