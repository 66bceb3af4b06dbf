"""What can go wrong in counting.

    CountingError
    ├── PictureError        a picture that cannot be read: corrupt, too large, of an unknown format
    ├── SceneError          lines or zones that make no sense, with the file and the key
    ├── SourceError         a clip, folder or camera that cannot be opened or breaks off
    │   ├── SourceUnreachableError      nobody answers at the address: refused, no route, an unknown name
    │   ├── SourceTimeoutError          it was reached, and then nothing came for too long
    │   ├── SourceAuthenticationError   user or password missing or wrong
    │   ├── SourceTlsError              its certificate is not trusted, or it does not speak TLS
    │   ├── SourceNotFoundError         the camera is there, the stream under this path is not
    │   └── SourceCodecError            something came that is no video which can be decoded here
    ├── DetectorError       a detector whose format is unknown, or that cannot be run here
    ├── ArtifactError       a model folder that is incomplete, altered or of an unknown format version
    ├── RequestError        a table of requests that cannot be answered, with row and reason
    └── PredictionLogError  a prediction log that cannot be written or read

Every message says what was expected, what came, and what to do. None of these derives from MLflow's exception:
the scoring server answers an ``MlflowException`` with the request's payload in its text, and no picture may ever
be echoed.
"""

__all__ = [
    "ArtifactError",
    "CountingError",
    "DetectorError",
    "PictureError",
    "PredictionLogError",
    "RequestError",
    "SceneError",
    "SourceAuthenticationError",
    "SourceCodecError",
    "SourceError",
    "SourceNotFoundError",
    "SourceTimeoutError",
    "SourceTlsError",
    "SourceUnreachableError",
]


class CountingError(Exception):
    """The root: whoever calls this package can catch everything with it."""


class PictureError(CountingError, ValueError):
    """A picture that cannot be read: corrupt, too large, or of an unknown format."""


class SceneError(CountingError, ValueError):
    """A scene whose lines or zones make no sense; names the file and the key."""


class SourceError(CountingError, OSError):
    """A clip, a folder or a camera that cannot be opened, or that breaks off."""


class SourceUnreachableError(SourceError):
    """Nobody answers at a camera's address: the connection is refused, there is no route, the name is unknown."""


class SourceTimeoutError(SourceError):
    """Too long a silence: from the network, or from a camera that was connected and sends no more frames."""


class SourceAuthenticationError(SourceError):
    """A camera wants a user and a password, or does not take those that it got."""


class SourceTlsError(SourceError):
    """A camera's certificate is not trusted, or what answers does not speak TLS."""


class SourceNotFoundError(SourceError):
    """The camera answers, and has no stream under this path; or there is no such device."""


class SourceCodecError(SourceError):
    """What comes is no video, or none that can be decoded here."""


class DetectorError(CountingError, ValueError):
    """A detector whose format is not known, or that cannot be run on this machine."""


class ArtifactError(CountingError, ValueError):
    """A model folder that is incomplete, altered, or of a format version this package does not read."""


class RequestError(CountingError, ValueError):
    """A table of counting requests that cannot be answered; names the row and the reason."""


class PredictionLogError(CountingError, OSError):
    """A prediction log that cannot be written or read."""
