"""Benign or malignant, from five measurements; the input's form is declared, so it is checked.

``Inputs`` and ``GlobalParameters`` are the names that Power BI and designer clients send.
"""

import os
from pathlib import Path

import joblib
import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

TUMOURS = pd.DataFrame(
    {
        "mean radius": [17.99, 13.08],
        "mean texture": [10.38, 15.71],
        "mean smoothness": [0.1184, 0.1075],
        "mean concavity": [0.3001, 0.0457],
        "mean symmetry": [0.2419, 0.1967],
    }
)
PARAMETERS = {"threshold": 0.5}
ANSWER = {"Results": [{"label": "malignant", "probability": 0.99}]}


def init():
    """Load the model, once for each scoring worker."""
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib")


@input_schema("Inputs", PandasParameterType(TUMOURS))
@input_schema("GlobalParameters", StandardPythonParameterType(PARAMETERS), optional=True)
@output_schema(StandardPythonParameterType(ANSWER))
def run(Inputs, GlobalParameters=PARAMETERS):  # noqa: N803 - the names on the wire
    """``Inputs`` arrives as a DataFrame, already checked."""
    malignant = model.predict_proba(Inputs)[:, 0]
    threshold = GlobalParameters["threshold"]
    return {"Results": [answer(probability, threshold) for probability in malignant]}


def answer(probability, threshold):
    """One tumour's line in the answer."""
    label = "malignant" if probability > threshold else "benign"
    return {"label": label, "probability": probability.round(3)}
