"""A data frame as input."""

import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema


def init():
    pass


@input_schema("table", PandasParameterType(pd.DataFrame({"a": [1], "b": ["x"]})))
def run(table):
    return table
