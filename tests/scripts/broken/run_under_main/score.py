def init():
    pass


if __name__ == "__main__":

    def run(data):
        return data
