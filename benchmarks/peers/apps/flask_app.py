"""A model in Flask, as its documentation shows it."""

import score
from flask import Flask, jsonify, request

app = Flask(__name__)
score.init()


@app.post("/score")
def answer():
    return jsonify(score.run(request.get_data()))
