def column(table, name):
    try:
        return table[name]
    except KeyError as error:
        raise ValueError(f"no column {name}") from error
