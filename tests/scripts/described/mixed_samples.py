"""Samples that inference-schema's own schemas contradict: it looks at one element of a list."""

import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

table = pd.DataFrame({"age": [39, 40], "job": [None, "smith"]})


def init():
    pass


@input_schema("split", PandasParameterType(table, orient="split"))
@input_schema("mixed", StandardPythonParameterType([1, "one", {"a": 1}, None]))
@input_schema("objects", StandardPythonParameterType([{"a": 1, "b": 2}, {"a": 1}]))
@input_schema("nothing", StandardPythonParameterType({"inside": None, "empty": []}))
def run(split, mixed, objects, nothing):
    return 1
