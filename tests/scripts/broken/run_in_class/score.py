class Scorer:
    def init(self):
        self.model = 1

    def run(self, data):
        return self.model


def init():
    global scorer
    scorer = Scorer()
