"""One folder a service; `shared` is all they have in common.

A user's own steps need no change here: a folder `services/<any name>/steps/` elsewhere on
PYTHONPATH, with an `__init__.py` at each level, is part of this package.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
