from azure.storage.blob import BlobServiceClient


def init():
    pass


def run(data):
    return data
