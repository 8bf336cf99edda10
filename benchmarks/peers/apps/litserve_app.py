"""A model in LitServe, which parses the body itself."""

import sys

import litserve
import score


class Model(litserve.LitAPI):
    def setup(self, _device):
        score.init()

    def decode_request(self, request):
        return request["data"]

    def predict(self, rows):
        return score.predict(rows)

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Model(api_path="/score"), accelerator="cpu", workers_per_device=1, timeout=120
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
