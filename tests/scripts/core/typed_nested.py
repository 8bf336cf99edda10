"""Parameter types inside a dict, and a parameter without a type."""

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

SAMPLE = {
    "rows": NumpyParameterType(np.array([[1, 2]])),
    "options": StandardPythonParameterType({"depth": StandardPythonParameterType(3)}),
}


def init():
    pass


@input_schema("inputs", StandardPythonParameterType(SAMPLE))
def run(inputs, anything=None):
    return {"rows": inputs["rows"], "options": inputs["options"], "anything": anything}
