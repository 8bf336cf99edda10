"""Its own parameter type describes itself in a way that nobody can read."""

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.schema_decorators import input_schema


class Odd(AbstractParameterType):
    def deserialize_input(self, input_data):
        return input_data

    def input_to_swagger(self):
        return {"type": "object", "properties": None, "example": {"a": 1}}


def init():
    pass


@input_schema("data", Odd({"a": 1}))
def run(data):
    return data
