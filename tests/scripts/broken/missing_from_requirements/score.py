from bs4 import BeautifulSoup


def init():
    pass


def run(data):
    return data
