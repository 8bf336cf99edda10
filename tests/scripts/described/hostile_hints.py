"""Scores well, but its type raises when asked for its schema."""


class Model:
    @classmethod
    def model_json_schema(cls, **options):
        raise RuntimeError("secret of the script")


def init():
    pass


def run(data: Model):
    return 1
