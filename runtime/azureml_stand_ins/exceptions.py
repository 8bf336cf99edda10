"""The exceptions of ``azureml.exceptions``, for scripts that catch them.

Only :class:`ModelNotFoundException` is ever raised here. azureml-core raises it for a missing
name, and a ``WebserviceException`` for a missing version or a folder with several entries; ours
is both, so that either ``except`` catches.
"""

from __future__ import annotations

from typing import Any

from scorehost.errors import ModelNotFound


class AzureMLException(Exception):
    """Root of the exceptions."""

    def __init__(self, exception_message: str, inner_exception: Any = None, **_: Any) -> None:
        super().__init__(exception_message)
        self.message = exception_message
        self.inner_exception = inner_exception


class WebserviceException(AzureMLException):
    """A model can't be used."""

    def __init__(self, exception_message: str, status_code: Any = None, **options: Any) -> None:
        super().__init__(exception_message, **options)
        self.status_code = status_code


class ModelNotFoundException(WebserviceException, ModelNotFound):
    """A model was not found; the message says where it was looked for and what to do."""

    @classmethod
    def of(cls, error: ModelNotFound) -> ModelNotFoundException:
        made = cls(str(error))
        made.tried, made.tree = error.tried, error.tree
        made.summary, made.advice = error.summary, error.advice
        return made


class UserErrorException(AzureMLException):
    """Never raised here."""


class AuthenticationException(UserErrorException):
    """Never raised here."""


def _never_raised(name: str) -> type[AzureMLException]:
    return type(name, (AzureMLException,), {"__doc__": "Never raised here."})


ActivityFailedException = _never_raised("ActivityFailedException")
AzureMLAggregatedException = _never_raised("AzureMLAggregatedException")
ComputeTargetException = _never_raised("ComputeTargetException")
DatasetTimestampMissingError = _never_raised("DatasetTimestampMissingError")
DiscoveryUrlNotFoundException = _never_raised("DiscoveryUrlNotFoundException")
ExperimentExecutionException = _never_raised("ExperimentExecutionException")
ModelPathNotFoundException = _never_raised("ModelPathNotFoundException")
ParallelRunException = _never_raised("ParallelRunException")
ProjectSystemException = _never_raised("ProjectSystemException")
RunConfigurationException = _never_raised("RunConfigurationException")
RunEnvironmentException = _never_raised("RunEnvironmentException")
ServiceException = _never_raised("ServiceException")
SnapshotException = _never_raised("SnapshotException")
TrainingException = _never_raised("TrainingException")
WorkspaceException = _never_raised("WorkspaceException")
WorkspacePrivateEndpointException = _never_raised("WorkspacePrivateEndpointException")

for _value in list(globals().values()):
    if isinstance(_value, type) and issubclass(_value, AzureMLException):
        _value.__module__ = "azureml.exceptions"
