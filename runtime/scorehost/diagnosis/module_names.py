"""Which package provides a module whose name is not the package's own.

Only pairs that differ are listed; everything else is installed under the name it is imported
by. Sources are the projects' own installation instructions.
"""

from __future__ import annotations

from typing import Final

DISTRIBUTIONS: Final[dict[str, str]] = {
    # data and models
    "category_encoders": "category-encoders",
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "fbprophet": "prophet",
    "ignite": "pytorch-ignite",
    "imblearn": "imbalanced-learn",
    "open_clip": "open-clip-torch",
    "pl_bolts": "lightning-bolts",
    "pytorch_lightning": "pytorch-lightning",
    "sentence_transformers": "sentence-transformers",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sklearn_pandas": "sklearn-pandas",
    "sksurv": "scikit-survival",
    "skopt": "scikit-optimize",
    "surprise": "scikit-surprise",
    "tensorflow_hub": "tensorflow-hub",
    "tensorflow_probability": "tensorflow-probability",
    "tensorflow_text": "tensorflow-text",
    "tf_keras": "tf-keras",
    "torch_geometric": "torch-geometric",
    "umap": "umap-learn",
    # pictures, sound, documents
    "PIL": "pillow",
    "Xlib": "python-xlib",
    "docx": "python-docx",
    "fitz": "PyMuPDF",
    "magic": "python-magic",
    "pptx": "python-pptx",
    "pymupdf": "PyMuPDF",
    "pywt": "PyWavelets",
    # text and web
    "bs4": "beautifulsoup4",
    "dns": "dnspython",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "Levenshtein": "python-Levenshtein",
    "lxml_html_clean": "lxml-html-clean",
    "markdown": "Markdown",
    "multipart": "python-multipart",
    "rest_framework": "djangorestframework",
    "slugify": "python-slugify",
    "socks": "PySocks",
    "telegram": "python-telegram-bot",
    "websocket": "websocket-client",
    "zmq": "pyzmq",
    # files, configuration, time
    "attr": "attrs",
    "dateutil": "python-dateutil",
    "decouple": "python-decouple",
    "dotenv": "python-dotenv",
    "github": "PyGithub",
    "git": "GitPython",
    "pkg_resources": "setuptools",
    "ruamel": "ruamel.yaml",
    "snappy": "python-snappy",
    "yaml": "PyYAML",
    # security
    "Crypto": "pycryptodome",
    "Cryptodome": "pycryptodomex",
    "OpenSSL": "pyOpenSSL",
    "nacl": "PyNaCl",
    # databases and queues
    "MySQLdb": "mysqlclient",
    "confluent_kafka": "confluent-kafka",
    "cx_Oracle": "cx-Oracle",
    "kafka": "kafka-python",
    "bson": "pymongo",
    "gridfs": "pymongo",
    "psycopg2": "psycopg2-binary",
    "snowflake": "snowflake-connector-python",
    # devices and systems
    "gi": "PyGObject",
    "igraph": "python-igraph",
    "mpl_toolkits": "matplotlib",
    "pylab": "matplotlib",
    "rtree": "Rtree",
    "serial": "pyserial",
    "usb": "pyusb",
    "win32api": "pywin32",
    "win32com": "pywin32",
    "osgeo": "GDAL",
    "shapefile": "pyshp",
    # Azure Machine Learning
    "azureml": "azureml-core",
    "inference_schema": "inference-schema",
}
"""Top-level module to package."""

NAMESPACES: Final[dict[str, str]] = {
    "azure.core": "azure-core",
    "azure.cosmos": "azure-cosmos",
    "azure.eventhub": "azure-eventhub",
    "azure.identity": "azure-identity",
    "azure.servicebus": "azure-servicebus",
    "azure.storage.filedatalake": "azure-storage-file-datalake",
    "azure.storage.fileshare": "azure-storage-file-share",
    "azureml.automl.runtime": "azureml-automl-runtime",
    "azureml.contrib.services": "azureml-contrib-services",
    "azureml.core": "azureml-core",
    "azureml.dataprep": "azureml-dataprep",
    "azureml.interpret": "azureml-interpret",
    "azureml.mlflow": "azureml-mlflow",
    "azureml.train.automl": "azureml-train-automl-runtime",
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud.pubsub_v1": "google-cloud-pubsub",
    "google.cloud.secretmanager": "google-cloud-secret-manager",
    "google.generativeai": "google-generativeai",
    "google.oauth2": "google-auth",
    "google.protobuf": "protobuf",
    "google.genai": "google-genai",
    "paste.deploy": "PasteDeploy",
    "ruamel.yaml": "ruamel.yaml",
    "snowflake.connector": "snowflake-connector-python",
    "sklearn.externals.joblib": "joblib",
}
"""Module inside a namespace that several packages share, to package; the longest match counts.

Below ``azure`` and ``google`` a package has the name of its module's first three parts, unless it
is listed here.
"""

LEFT_PYTHON: Final[dict[str, tuple[str, str]]] = {
    "_bootlocale": ("3.10", ""),
    "asynchat": ("3.12", "pyasynchat"),
    "asyncore": ("3.12", "pyasyncore"),
    "binhex": ("3.11", ""),
    "cgi": ("3.13", "legacy-cgi"),
    "cgitb": ("3.13", "legacy-cgi"),
    "crypt": ("3.13", "legacycrypt"),
    "distutils": ("3.12", "setuptools"),
    "formatter": ("3.10", ""),
    "imghdr": ("3.13", "standard-imghdr"),
    "imp": ("3.12", ""),
    "parser": ("3.10", ""),
    "pipes": ("3.13", "standard-pipes"),
    "smtpd": ("3.12", "aiosmtpd"),
    "sndhdr": ("3.13", "standard-sndhdr"),
    "symbol": ("3.10", ""),
    "telnetlib": ("3.13", "standard-telnetlib"),
}
"""Standard module to the Python version that removed it and the package that provides it."""

PYTHON_2: Final[dict[str, str]] = {
    "ConfigParser": "configparser",
    "Queue": "queue",
    "StringIO": "io",
    "__builtin__": "builtins",
    "cPickle": "pickle",
    "cStringIO": "io",
    "commands": "subprocess",
    "copy_reg": "copyreg",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
}
"""Python 2 name to Python 3 name."""

OLDER_PACKAGES: Final[dict[tuple[str, str], str]] = {
    ("flask", "Markup"): "flask<2.3",
    ("flask", "_app_ctx_stack"): "flask<2.3",
    ("flask", "_request_ctx_stack"): "flask<2.3",
    ("flask.json", "JSONEncoder"): "flask<2.3",
    ("itsdangerous", "json"): "itsdangerous<2.1",
    ("jinja2", "Markup"): "jinja2<3.1",
    ("jinja2", "contextfilter"): "jinja2<3.1",
    ("jinja2", "contextfunction"): "jinja2<3.1",
    ("jinja2", "environmentfilter"): "jinja2<3.1",
    ("jinja2", "escape"): "jinja2<3.1",
    ("markupsafe", "soft_unicode"): "markupsafe<2.1",
    ("werkzeug", "cached_property"): "werkzeug<1",
    ("werkzeug.security", "safe_str_cmp"): "werkzeug<2.1",
    ("werkzeug.urls", "url_decode"): "werkzeug<3",
    ("werkzeug.urls", "url_encode"): "werkzeug<3",
    ("werkzeug.urls", "url_quote"): "werkzeug<3",
    ("werkzeug.wrappers", "BaseResponse"): "werkzeug<2.1",
}
"""Names that other packages still import, and the versions that have them: a package without upper
bounds is installed beside neighbours that are too new for it."""

MOVED_NAMES: Final[dict[tuple[str, str], str]] = {
    ("collections", "Callable"): "from collections.abc import Callable",
    ("collections", "Iterable"): "from collections.abc import Iterable",
    ("collections", "Iterator"): "from collections.abc import Iterator",
    ("collections", "Mapping"): "from collections.abc import Mapping",
    ("collections", "MutableMapping"): "from collections.abc import MutableMapping",
    ("collections", "Sequence"): "from collections.abc import Sequence",
    ("flask", "Markup"): "from markupsafe import Markup",
    ("flask", "escape"): "from markupsafe import escape",
    ("flask.json", "JSONEncoder"): "import json, then json.JSONEncoder",
    ("itsdangerous", "json"): "import json",
    ("jinja2", "Markup"): "from markupsafe import Markup",
    ("jinja2", "contextfilter"): "from jinja2 import pass_context",
    ("jinja2", "escape"): "from markupsafe import escape",
    ("markupsafe", "soft_unicode"): "from markupsafe import soft_str",
    ("pandas", "Panel"): "a DataFrame with a MultiIndex",
    ("pandas.io.json", "json_normalize"): "from pandas import json_normalize",
    ("scipy", "interp"): "from numpy import interp",
    ("scipy.misc", "imread"): "from imageio import imread",
    ("scipy.misc", "imresize"): "PIL.Image.Image.resize",
    ("scipy.integrate", "cumtrapz"): "from scipy.integrate import cumulative_trapezoid",
    ("scipy.integrate", "simps"): "from scipy.integrate import simpson",
    ("sklearn.cross_validation", "train_test_split"): (
        "from sklearn.model_selection import train_test_split"
    ),
    ("sklearn.externals", "joblib"): "import joblib",
    ("sklearn.externals", "six"): "import six",
    ("sklearn.metrics", "plot_confusion_matrix"): (
        "from sklearn.metrics import ConfusionMatrixDisplay"
    ),
    ("sklearn.preprocessing", "Imputer"): "from sklearn.impute import SimpleImputer",
    ("werkzeug", "secure_filename"): "from werkzeug.utils import secure_filename",
    ("werkzeug.urls", "url_quote"): "from urllib.parse import quote",
    ("werkzeug.urls", "url_decode"): "from urllib.parse import parse_qs",
}
"""Module and name to what replaced it."""

MOVED_MODULES: Final[dict[str, str]] = {
    "keras.utils.np_utils": "keras.utils",
    "numpy.testing.nosetester": "numpy.testing",
    "pandas.io.common": "pandas",
    "sklearn.cross_validation": "sklearn.model_selection",
    "sklearn.externals.joblib": "joblib",
    "sklearn.externals.six": "six",
    "sklearn.grid_search": "sklearn.model_selection",
    "sklearn.learning_curve": "sklearn.model_selection",
    "sklearn.neighbors.base": "sklearn.neighbors._base",
}
"""Module to the one that replaced it."""


def distribution_of(module: str) -> str:
    """Name the package that provides a module; the module's own first name when unknown."""
    parts = module.split(".")
    for length in range(len(parts), 1, -1):
        if (name := ".".join(parts[:length])) in NAMESPACES:
            return NAMESPACES[name]
    if parts[0] in {"azure", "google"} and len(parts) > 1:
        return "-".join(parts[:3]).replace("_", "-")
    return DISTRIBUTIONS.get(parts[0], parts[0])
