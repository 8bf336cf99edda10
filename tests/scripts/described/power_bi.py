"""Nested inputs as automated ML generates them and Power BI calls them."""

import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
import numpy as np

rows = PandasParameterType(pd.DataFrame({"age": [39], "job": ["clerk"], "member": [True]}))
flags = NumpyParameterType(np.array([[True, False]]))
method = StandardPythonParameterType("predict")


def init():
    pass


@input_schema("GlobalParameters", StandardPythonParameterType({"method": method}))
@input_schema("Inputs", StandardPythonParameterType({"data": rows, "flags": flags}))
@output_schema(StandardPythonParameterType({"Results": NumpyParameterType(np.array([1.5]))}))
def run(Inputs, GlobalParameters={"method": "predict"}, request_headers=None):
    """Score a table."""
    return {"Results": np.zeros(len(Inputs["data"]))}
