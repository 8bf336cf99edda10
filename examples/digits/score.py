"""The digit in a PNG: the body is the image itself, so ``run()`` takes the raw request."""

import io
import os
from pathlib import Path

import joblib
import numpy as np
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
from PIL import Image, ImageOps, UnidentifiedImageError


def init():
    """Load the model, once for each scoring worker."""
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib")


@rawhttp
def run(request):
    """Answer POST with the label; the methods and bodies that make no sense say so."""
    if request.method != "POST":
        return answer({"message": "POST a PNG image"}, 405, {"Allow": "POST"})
    try:
        image = Image.open(io.BytesIO(request.get_data()))
        pixels = as_training_data(image)
    except (UnidentifiedImageError, OSError) as error:
        return answer({"message": f"Not an image: {error}"}, 400)
    return answer({"label": model.predict([pixels])[0]}, 200)


def answer(content, status, headers=None):
    """A response with JSON in it."""
    return AMLResponse(content, status, headers, json_str=True)


def as_training_data(image):
    """Bring any image into the form of the training data: 8 × 8 pixels, ink from 0 to 16."""
    grey = ImageOps.fit(image.convert("L"), (8, 8), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=float) * 16 / 255
    on_paper = np.median(pixels) > 8
    return (16 - pixels if on_paper else pixels).ravel()
